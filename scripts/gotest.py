#!/usr/bin/env python3
"""Reads `go test -json` on stdin and prints what a person wants of it.

A package is one line when it ends, a test that failed is shown whole, and the
tests that were skipped are counted, or with --strict listed as failures: where
everything is installed, a skipped test is one that nobody runs. The counts are
written to the file named with --counts, as "PASSED FAILED SKIPPED".
"""

import argparse
import json
import sys


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--strict", action="store_true")
    parser.add_argument("--counts", required=True)
    options = parser.parse_args()
    said: dict[tuple[str, str], list[str]] = {}  # what each package and each of its tests printed so far
    blamed: set[str] = set()  # packages with a test that failed
    passed = failed = 0
    skipped = []
    for line in sys.stdin:
        try:
            event = json.loads(line)
        except ValueError:
            event = None
        if not isinstance(event, dict):
            sys.stdout.write(line)
            continue
        action, package, test = event["Action"], event.get("Package", ""), event.get("Test", "")
        if action == "output":
            said.setdefault((package, test), []).append(event["Output"])
            continue
        if action == "build-output":
            sys.stdout.write(event["Output"])
        if action not in ("pass", "fail", "skip"):
            continue
        text = said.pop((package, test), [])
        if test:
            if action == "pass":
                passed += 1
            elif action == "fail":
                failed += 1
                blamed.add(package)
                sys.stdout.writelines(text)
            else:
                skipped.append((package, test, "".join(text)))
        else:
            # The tests that a crash or a timeout cut short never said how they ended.
            for key in [key for key in said if key[0] == package]:
                sys.stdout.writelines(said.pop(key))
                failed += 1
                blamed.add(package)
            if action == "fail" and package not in blamed:
                failed += 1  # it did not build, or failed outside of its tests
            if action == "fail":
                sys.stdout.writelines(text)
            else:
                sys.stdout.writelines(one for one in text if one.startswith("ok"))
        sys.stdout.flush()
    if options.strict:
        for package, test, text in skipped:
            print(f"skipped, where nothing may be: {package} {test}\n{text}", end="")
    with open(options.counts, "w") as out:
        print(passed, failed, len(skipped), file=out)
    return 1 if failed or (options.strict and skipped) else 0


if __name__ == "__main__":
    sys.exit(main())
