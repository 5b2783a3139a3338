"""Runs every test of this folder; the last line is `N passed, N failed`."""

import os
import sys
import time
import unittest


class Result(unittest.TestResult):
    passed = 0

    def startTest(self, test):
        super().startTest(test)
        self.begun = time.monotonic()

    def addSuccess(self, test):
        super().addSuccess(test)
        Result.passed += 1
        print(f"ok      {test.id()} ({time.monotonic() - self.begun:.1f}s)", flush=True)

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        print(f"skipped {test.id()}: {reason}", flush=True)

    def addFailure(self, test, err):
        super().addFailure(test, err)
        print(f"FAILED  {test.id()}\n{self.failures[-1][1]}", flush=True)

    def addError(self, test, err):
        super().addError(test, err)
        print(f"FAILED  {test.id()}\n{self.errors[-1][1]}", flush=True)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            last = (self.failures + self.errors)[-1][1]
            print(f"FAILED  {subtest.id()}\n{last}", flush=True)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path.insert(0, here)
    loader = unittest.TestLoader()
    if len(sys.argv) > 1:
        suite = loader.loadTestsFromNames(sys.argv[1:])
    else:
        suite = loader.discover(here, pattern="test_*.py")
    result = Result()
    suite.run(result)
    failed = len(result.failures) + len(result.errors)
    print(f"{Result.passed} passed, {failed} failed")
    return 1 if failed or not Result.passed else 0


if __name__ == "__main__":
    sys.exit(main())
