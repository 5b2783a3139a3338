// Opens pages of amlplan in headless Chromium, as a person would on a phone and in print. Speaks the
// DevTools protocol over a pipe. Arguments: the browser, its folder, a page with findings of several
// clusters and classes and hostile values, and other pages.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { pathToFileURL } from 'node:url';

const [browser, folder, drift, ...others] = process.argv.slice(2);
const flags = ['--headless', '--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking',
  `--user-data-dir=${folder}`, '--remote-debugging-pipe', 'about:blank'];
const chromium = spawn(browser, flags, { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
const [, , , writer, reader] = chromium.stdio;
const patience = setTimeout(() => { console.error('the browser does not answer'); chromium.kill(); process.exit(1); }, 60_000);

let number = 0;
let rest = '';
const waiting = new Map();
const events = [];
reader.on('data', (chunk) => {
  const parts = (rest + chunk).split('\0');
  rest = parts.pop();
  for (const text of parts) {
    const message = JSON.parse(text);
    if (message.id === undefined) events.push(message);
    else waiting.get(message.id)(message);
  }
});
const call = (method, params = {}, sessionId = undefined) => new Promise((done, failed) => {
  const id = ++number;
  waiting.set(id, (it) => (it.error ? failed(new Error(`${method}: ${it.error.message}`)) : done(it.result)));
  writer.write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
});

const { targetId } = await call('Target.createTarget', { url: 'about:blank' });
const { sessionId } = await call('Target.attachToTarget', { targetId, flatten: true });
const page = (method, params) => call(method, params, sessionId);
const ask = async (expression) => {
  const { result, exceptionDetails } = await page('Runtime.evaluate', { expression, returnByValue: true });
  assert.equal(exceptionDetails, undefined, expression);
  return result.value;
};
for (const domain of ['Network', 'Page', 'Runtime', 'Log']) await page(`${domain}.enable`);

const open = async (file) => {
  const url = pathToFileURL(file).href;
  events.length = 0;
  await page('Emulation.setDeviceMetricsOverride', { width: 390, height: 844, deviceScaleFactor: 2, mobile: true });
  await page('Page.navigate', { url });
  while (!events.some((it) => it.method === 'Page.loadEventFired')) await new Promise((done) => setTimeout(done, 10));
  assert.ok((await ask('document.title')).startsWith('amlplan'), `${file} opens`);
  assert.ok((await ask('document.body.innerText')).length > 40, `${file} says something`);
  assert.equal(await ask('document.scripts.length'), 0, 'no script');
  assert.equal(await ask('document.querySelectorAll("[onload],[onerror],[onclick],img,iframe,object,link,base").length'), 0);
  assert.equal(await ask('window.acted'), undefined, 'nothing of a live value ran');
  const width = await ask('document.scrollingElement.scrollWidth');
  assert.ok(width <= 390, `${file} is ${width} wide on a phone`);
  const requests = events.filter((it) => it.method === 'Network.requestWillBeSent').map((it) => it.params.request.url);
  assert.deepEqual(requests.filter((it) => it !== url), [], 'no request but the page itself');
  const told = events.filter((it) => ['Log.entryAdded', 'Runtime.exceptionThrown'].includes(it.method));
  assert.deepEqual(told, [], 'the browser has nothing to complain of');
};

const shown = 'it => it.getClientRects().length > 0';
const counted = (what) => ask(`[...document.querySelectorAll("${what}")].filter(${shown}).length`);
const choose = (id, at) => ask(`document.getElementById("${id}").selectedIndex = ${at}`);
await open(drift);
const all = await counted('article');
const clusters = await counted('section');
assert.ok(all > 3 && clusters > 1, `${all} findings of ${clusters} clusters`);
assert.ok(await ask('document.querySelector("article").getBoundingClientRect().top < 844'), 'the first finding is on the first screen');
for (const id of ['cluster', 'class']) {
  let sum = 0;
  for (let at = 1; at < await ask(`document.getElementById("${id}").options.length`); at += 1) {
    await choose(id, at);
    const some = await counted('article');
    assert.ok(some > 0 && some < all, `${id} ${at} shows ${some} of ${all}`);
    assert.ok(await counted('section') <= clusters);
    assert.equal(await ask(`[...document.querySelectorAll("section")].filter(${shown}).every(it => [...it.querySelectorAll("article")].some(${shown}))`), true, 'no empty heading');
    sum += some;
  }
  await choose(id, 0);
  assert.equal(await counted('article'), all);
  assert.equal(sum, all, `each finding is in one ${id}`);
}
await page('Emulation.setEmulatedMedia', { media: 'print' });
assert.equal(await counted('form'), 0, 'no filter on paper');
assert.equal(await counted('article'), all, 'every finding is on paper');
await page('Emulation.setEmulatedMedia', { media: '' });
for (const file of others) await open(file);
console.log(`${1 + others.length} pages opened; ${all} findings of ${clusters} clusters filtered`);
clearTimeout(patience);
await call('Browser.close').catch(() => {});
