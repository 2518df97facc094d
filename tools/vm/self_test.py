"""What `./dev vm` concludes from a guest's output: a run that did not happen, crashed or hung never counts as passed.

Needs nothing but python3; run by `./dev test`.
"""

import io
import pathlib
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import cpio  # noqa: E402
import jobs  # noqa: E402
import kernels  # noqa: E402
import qemu  # noqa: E402
import report  # noqa: E402

PASSED = "[ RUN      ] A.B\n[       OK ] A.B (3 ms)\n"
SKIPPED = "[ RUN      ] A.C\na.cc:1: Skipped\nno tcx here\n[  SKIPPED ] A.C (0 ms)\n"
FAILED = "[ RUN      ] W/A.D/x\nboom\n[  FAILED  ] W/A.D/x, where GetParam() = 1 (2 ms)\n"
DOCTOR = {"can_run": True, "features": [{"name": "tcx", "available": "no", "since": "6.6", "without_it": "clsact"}]}


def sections(stream):
    shown = []
    reader = qemu._Reader("T", lambda name, data: shown.append(data))  # pylint: disable=protected-access
    for byte in stream:
        reader.feed(bytes([byte]))
    reader.finish()
    return reader.sections, b"".join(shown)


class ReaderTest(unittest.TestCase):
    def test_output_is_kept_to_the_byte(self):
        found, shown = sections(b"noise\n\nT begin a\nx\n\ny\n\nT end a 3\n\nT begin b\nno line break\nT end b 0\n")
        self.assertEqual((found["a"].text, found["a"].status), ("x\n\ny\n", 3))
        self.assertEqual((found["b"].text, found["b"].status), ("no line break", 0))
        self.assertEqual(shown, b"x\n\ny\nno line break")

    def test_section_without_end_has_no_status(self):
        found, _ = sections(b"\nT begin a\nhalf a l")
        self.assertEqual((found["a"].text, found["a"].status), ("half a l", None))

    def test_borders_of_another_boot_are_output(self):
        found, _ = sections(b"\nT begin a\nU end a 0\n\nT end a 1\n")
        self.assertEqual((found["a"].text, found["a"].status), ("U end a 0\n", 1))


class GtestTest(unittest.TestCase):
    def test_cases_are_counted_with_names_and_reasons(self):
        suite = jobs.parse_gtest(PASSED + SKIPPED + FAILED, 1)
        self.assertEqual((suite.passed, suite.failed, suite.skipped), (1, ["W/A.D/x"], [("A.C", "no tcx here")]))
        self.assertEqual(suite.trouble, "")

    def test_crash_within_a_case_is_that_cases_failure(self):
        suite = jobs.parse_gtest(PASSED + "[ RUN      ] A.X\n", 139)
        self.assertEqual(suite.failed, ["A.X"])
        self.assertIn("139", suite.trouble)

    def test_bad_ends_are_trouble(self):
        for text, status in ((PASSED, 1), (PASSED, None), ("", 0), (SKIPPED, 0), ("not found", 127)):
            self.assertTrue(jobs.parse_gtest(text, status).trouble, (text, status))
        self.assertEqual(jobs.parse_gtest(PASSED, 0).trouble, "")


class ColumnTest(unittest.TestCase):
    def column(self, **changed):
        suites = {name: jobs.parse_gtest(PASSED, 0) for name in jobs.SUITES}
        return report.Column(**{"name": "5.10", "doctor": DOCTOR, "suites": suites, **changed})

    def test_only_all_of_it_is_ok(self):
        self.assertTrue(self.column().ok)
        bad = {name: jobs.parse_gtest(FAILED, 1) for name in jobs.SUITES}
        one = {"bpf": jobs.parse_gtest(PASSED, 0)}
        for changed in ({"suites": bad}, {"suites": one}, {"suites": {}}, {"doctor": None}, {"trouble": "it hung"},
                        {"doctor": {**DOCTOR, "can_run": False}}):
            self.assertFalse(self.column(**changed).ok, changed)

    def test_page_names_what_failed_and_what_is_done_instead(self):
        bad = {name: jobs.parse_gtest(FAILED, 1) for name in jobs.SUITES}
        page = report.markdown([self.column(), self.column(name="6.1", suites=bad)], "by hand.")
        self.assertIn("on 1 of the 2 kernels", page)
        self.assertIn("- 6.1: bpf: FAILED W/A.D/x", page)
        self.assertIn("| tcx | clsact |", page)


class KernelTest(unittest.TestCase):
    def test_faults_are_found_and_slowness_is_none(self):
        with tempfile.TemporaryDirectory() as folder:
            console = pathlib.Path(folder) / "console"
            for text, fault in (("BUG: kernel NULL pointer dereference", True), ("Kernel panic - not syncing", True),
                                ("WARNING: CPU: 0 PID: 1 at net/core/dev.c", True), ("Linux version 6.1", False),
                                ("watchdog: BUG: soft lockup - CPU#1 stuck for 22s!", False)):
                console.write_text(f"[    1.0] {text}\n")
                self.assertEqual(bool(qemu._kernel_says(console)), fault, text)  # pylint: disable=protected-access

    def test_names(self):
        self.assertEqual([kernels.canonical(name) for name in ("5.10", "7.2", "newest", "5", "")],
                         ["5.10", "sid", "sid", None, None])


class CpioTest(unittest.TestCase):
    def test_cpio_reads_what_was_written(self):
        stream = io.BytesIO()
        archive = cpio.Archive(stream)
        archive.text("a/b/c", "hello")
        archive.text("a/b/c", "once only")
        archive.link("l", "a/b/c")
        archive.close()
        if subprocess.run(["sh", "-c", "command -v cpio"], stdout=subprocess.DEVNULL, check=False).returncode:
            self.skipTest("cpio is not installed")
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["cpio", "-id", "--quiet"], cwd=folder, input=stream.getvalue(), check=True)
            self.assertEqual((pathlib.Path(folder) / "l").read_text(), "hello")


if __name__ == "__main__":
    unittest.main()
