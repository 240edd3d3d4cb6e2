"""`framegrid workflow check`, as the author of a workflow meets it."""

import json
import pathlib
import tempfile
import unittest

from test_commands import framegrid

EXAMPLES = pathlib.Path(__file__).resolve().parents[3] / "examples" / "workflows"

WRONG = """workflow: wrong
inputs:
  film: video
steps:
  - id: move
    pipeline: image-to-video
    inputs: {image: "${inputs.film}"}
    parameters: {fps: 500}
outputs:
  film: ${steps.mov.output}
"""


class WorkflowTest(unittest.TestCase):
    def test_the_examples_are_shown_in_their_order(self):
        files = sorted(EXAMPLES.glob("*.yaml"))
        self.assertEqual(len(files), 5)
        for file in files:
            with self.subTest(file.name):
                done = framegrid("workflow", "check", file)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertEqual(done.stderr, "")
                self.assertIn(f"workflow {file.stem}\n", done.stdout)
        ladder = json.loads(framegrid("--json", "workflow", "check", EXAMPLES / "ladder.yaml").stdout)
        self.assertTrue(ladder["valid"])
        self.assertEqual([step["id"] for step in ladder["workflow"]["steps"]],
                         ["ladder", "cut", "enlarge", "top", "playlists"])
        self.assertEqual(ladder["workflow"]["outputs"], {"hls": "playlist", "top": "video"})
        self.assertEqual(ladder["workflow"]["steps"][4]["needs"], ["top", "ladder"])

    def test_all_problems_with_file_line_and_column(self):
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder) / "wrong.yaml"
            file.write_text(WRONG)
            done = framegrid("workflow", "check", file)
            self.assertEqual(done.returncode, 1)
            lines = done.stderr.splitlines()
            self.assertEqual(len(lines), 3, done.stderr)
            self.assertTrue(lines[0].startswith(f"{file}:7:24: steps[0].inputs.image: "), lines[0])
            self.assertTrue(lines[1].startswith(f"{file}:8:23: steps[0].parameters.fps: "), lines[1])
            self.assertTrue(lines[2].startswith(f"{file}:10:11: outputs.film: "), lines[2])
            self.assertIn('did you mean "move"?', lines[2])
            problems = json.loads(framegrid("--json", "workflow", "check", file).stdout)
            self.assertFalse(problems["valid"])
            self.assertEqual([p["line"] for p in problems["problems"]], [7, 8, 10])

    def test_a_file_that_is_not_there(self):
        done = framegrid("workflow", "check", "/nowhere.yaml")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/nowhere.yaml", done.stderr)
        self.assertEqual(framegrid("workflow", "check").returncode, 2)


if __name__ == "__main__":
    unittest.main()
