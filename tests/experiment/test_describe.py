import subprocess
import sys

CODE = """
import sys
from sprec.run import main
sys.argv = ["sprec", "dataset=toy", "+describe=true", "hydra.run.dir=."]
main()
print("torch loaded:", "torch" in sys.modules)
"""


def test_a_description_needs_no_torch_and_has_what_a_data_section_needs(tmp_path):
    done = subprocess.run([sys.executable, "-c", CODE], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rows = [line.strip().split("  ") for line in done.stdout.splitlines() if "  " in line.strip()]
    cells = {row[0]: row[-1].strip() for row in rows}
    assert (cells["users"], cells["items"], cells["history_length_max"]) == ("120", "60", "10")
    assert cells["duplicate_interactions"] == "0"
    assert "share of Drama" in cells
    assert "torch loaded: False" in done.stdout
