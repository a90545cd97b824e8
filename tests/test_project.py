"""The project around the book: environments, commands, lock, workflows, imports, documents.

Every check that walks over files is a function that returns faults; it is asserted to find none here, and to find one
in a broken sample.
"""

import cnnbook

import ast
import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
BACKENDS = {"tensorflow", "jax", "torch"}


def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def load(path):
    """A module of tools/, which is no package."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def run(*command, cwd=ROOT, **variables):
    """The command's exit status and what it wrote."""
    environment = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL")} | variables
    done = subprocess.run(command, cwd=cwd, env=environment, text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, timeout=300)  # fmt: skip
    return done.returncode, done.stdout


@pytest.fixture
def project():
    return tomllib.loads(read("pyproject.toml"))["project"]


# The lock and the conda way in


def lock_faults(project, lock):
    """Requirements of pyproject.toml that the lock does not hold to one exact version of."""
    pins = {}
    for line in lock.splitlines():
        if line and not line.startswith((" ", "#")):
            requirement = Requirement(line)
            pins.setdefault(canonicalize_name(requirement.name), []).append(str(requirement.specifier))
    faults = [f"{name}: {pin!r} is not an exact version" for name, found in pins.items() for pin in found
              if not re.fullmatch(r"==[^*]+", pin)]  # fmt: skip
    for line in itertools.chain(project["dependencies"], *project["optional-dependencies"].values()):
        wanted = Requirement(line)
        found = pins.get(canonicalize_name(wanted.name), [])
        if not found or any(not wanted.specifier.contains(pin.removeprefix("==")) for pin in found):
            faults.append(f"{line}: the lock has {found}; give the command: make lock")
    return faults


def test_the_lock_holds_every_requirement_to_an_exact_version(project):
    lock = read("requirements.txt")
    assert lock_faults(project, lock) == []
    assert lock_faults(project, re.sub(r"(?m)^keras==.*", "keras==3.14.0", lock))
    assert lock_faults(project, re.sub(r"(?m)^numpy==.*", "", lock))
    assert lock_faults(project, re.sub(r"(?m)^scipy==.*", "scipy>=1", lock))


def conda_faults(project, environment):
    """What lets the conda environment differ from the locked one."""
    *conda, last = environment["dependencies"]
    pip = last.get("pip", []) if isinstance(last, dict) else []
    faults = [f"{name}: only python and pip come from conda" for name in conda
              if str(name).split("=")[0] not in ("python", "pip")]  # fmt: skip
    python = [name.split("=")[1] for name in conda if str(name).startswith("python=")]
    if not python or not SpecifierSet(project["requires-python"]).contains(python[0]):
        faults.append(f"python: {python} does not satisfy {project['requires-python']}")
    if len(pip) != 2 or pip[0] != "--constraint requirements.txt" or not pip[1].startswith("--editable .["):
        return [*faults, f"pip: {pip} does not install the package as requirements.txt says"]
    unknown = set(re.search(r"\[(.*)\]", pip[1])[1].split(",")) - set(project["optional-dependencies"])
    return faults + [f"extra {name!r} is not in pyproject.toml" for name in unknown]


def test_conda_installs_what_the_lock_says(project):
    text = read("environment.yml")
    assert conda_faults(project, yaml.safe_load(text)) == []
    for old, new in [
        ("  - python=3.13", "  - python=3.14"),
        ("  - pip\n", "  - pip\n  - numpy\n"),
        ("--constraint requirements.txt", "keras==3.15.1"),
        (".[tensorflow,", ".[tensorflw,"),
    ]:
        assert old in text
        assert conda_faults(project, yaml.safe_load(text.replace(old, new))), new


def test_the_version_is_the_same_everywhere(project):
    assert project["version"] == cnnbook.__version__ == yaml.safe_load(read("CITATION.cff"))["version"]


# Environments


def fake_python(folder, line):
    """A Python that runs `line` before the script it is given."""
    path = folder / "python3"
    path.write_text(f"#!/bin/sh\nexec {sys.executable} -c \"import runpy, sys; {line}; "
                    "sys.argv = sys.argv[1:]; runpy.run_path(sys.argv[0], run_name='__main__')\" \"$@\"\n")  # fmt: skip
    path.chmod(0o755)
    return path


@pytest.mark.parametrize("version", ["(2, 7, 18)", "(3, 10, 13)", "(3, 14, 0)"])
def test_a_python_that_cannot_run_the_book_is_told_so(tmp_path, version):
    python = fake_python(tmp_path, f"sys.version_info = {version}")
    status, output = run("make", "book", f"PYTHON={python}")
    assert status and "3.11, 3.12 or 3.13" in output and "export PYTHON=python3.13" in output
    assert "Traceback" not in output and "jupyter-book" not in output


def test_a_python_without_venv_is_told_what_to_install(tmp_path):
    python = fake_python(tmp_path, "sys.modules['ensurepip'] = None")
    status, output = run("make", "test", f"PYTHON={python}")
    assert status and "apt-get install python3-venv" in output and "Traceback" not in output


def test_a_missing_python_is_named():
    status, output = run("make", "book", "PYTHON=python3.99")
    assert status and "python3.99" in output and "jupyter-book" not in output


@pytest.fixture
def environment(tmp_path, monkeypatch):
    """tools/environment.py in a folder of its own, with its two slow steps replaced; `.steps` lists them."""
    for name in ("pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    monkeypatch.chdir(tmp_path)
    module = load("tools/environment.py")
    module.steps = []

    def create(folder):
        module.steps.append("create")
        Path(folder).mkdir(exist_ok=True)
        Path(folder, "pyvenv.cfg").touch()

    monkeypatch.setattr(module, "usable", lambda folder, before: Path(folder, "pyvenv.cfg").exists())
    monkeypatch.setattr(module, "create", create)
    monkeypatch.setattr(module, "install", lambda python, extras, newest: module.steps.append(tuple(extras)))
    return module


def test_a_complete_environment_is_left_alone(environment):
    environment.main(".venv", ["book"], newest=False)
    environment.main(".venv", ["book"], newest=False)
    assert environment.steps == ["create", ("book",)]
    environment.main(".venv", ["dev"], newest=False)
    environment.main(".venv", ["book"], newest=False)
    assert environment.steps[2:] == [("book", "dev")]


def test_another_lock_or_requirement_is_installed(environment, tmp_path):
    environment.main(".venv", ["book"], newest=False)
    with open("requirements.txt", "a") as lock:
        lock.write("# another version\n")
    environment.main(".venv", ["book"], newest=False)
    pyproject = Path("pyproject.toml")
    pyproject.write_text(pyproject.read_text().replace('"rich>=', '"rich>=1'))
    environment.main(".venv", ["book"], newest=False)
    environment.main(".venv", ["book"], newest=True)
    assert environment.steps == ["create", *[("book",)] * 4]
    pyproject.write_text(pyproject.read_text().replace("line-length = 120", "line-length = 100"))
    environment.main(".venv", ["book"], newest=True)
    assert len(environment.steps) == 5, "a setting of ruff installs nothing"


def test_an_interrupted_installation_starts_afresh(environment, monkeypatch):
    def interrupt(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(environment, "install", interrupt)
        environment.main(".venv", ["book"], newest=False)
    environment.main(".venv", ["book"], newest=False)
    assert environment.steps == ["create", "create", ("book",)]


def test_a_failed_installation_is_tried_again(environment, monkeypatch):
    environment.main(".venv", ["book"], newest=False)

    def fail(*arguments):
        raise subprocess.CalledProcessError(1, "pip")

    with monkeypatch.context() as patch, pytest.raises(SystemExit, match="needs a network"):
        patch.setattr(environment, "install", fail)
        environment.main(".venv", ["dev"], newest=False)
    environment.main(".venv", ["dev"], newest=False)
    assert environment.steps == ["create", ("book",), ("book", "dev")]


def test_a_moved_or_broken_environment_is_not_usable(tmp_path, monkeypatch):
    module = load("tools/environment.py")
    monkeypatch.chdir(tmp_path)
    assert not module.usable(".venv", {})
    Path(".venv/bin").mkdir(parents=True)
    Path(".venv/bin/python").symlink_to(sys.executable)
    assert module.usable(".venv", {}) == (importlib.util.find_spec("pip") is not None)
    assert not module.usable(".venv", {"path": "elsewhere"})
    Path(".venv/bin/python").unlink()
    Path(".venv/bin/python").symlink_to(shutil.which("false"))
    assert not module.usable(".venv", {})


@pytest.mark.parametrize("error", [KeyboardInterrupt(), subprocess.CalledProcessError(1, "venv")])
def test_half_an_environment_is_not_left(tmp_path, monkeypatch, error):
    module = load("tools/environment.py")

    def fail(command, check):
        Path(command[-1]).mkdir()
        raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(module.subprocess, "run", fail)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        module.create(".venv")
    assert not Path(".venv").exists()


def test_a_folder_that_is_no_environment_is_never_cleared(tmp_path, monkeypatch):
    module = load("tools/environment.py")
    monkeypatch.chdir(tmp_path)
    Path(".venv").mkdir()
    Path(".venv/letter").write_text("dear")
    with pytest.raises(SystemExit, match="in the way"):
        module.create(".venv")
    assert Path(".venv/letter").exists()


def test_the_newest_versions_drop_bounds_and_keep_exact_pins():
    names = load("tools/environment.py").unpinned(["book", "tensorflow", "gpu"])
    assert {"keras", "tensorflow", "tensorflow[and-cuda]", "jupyter-book==1.0.4.post1"} <= set(names)


# Commands


def targets(makefile):
    return set(re.findall(r"^([a-z][a-z-]*):(?!=)(?! \w+ :=)", makefile, re.M))


def help_faults(makefile, help_text):
    """Targets that `make help` does not list, or that would be taken for files."""
    phony = re.search(r"^\.PHONY:(.*)", makefile, re.M)[1].split()
    return [name for name in targets(makefile) if f"make {name} " not in help_text or name not in phony]


def test_help_is_the_default_and_lists_every_command():
    status, output = run("make")
    makefile = read("Makefile")
    assert status == 0 and output == run("make", "help")[1]
    assert {"book", "test", "test-backends", "test-gpu", "serve", "notebooks", "lock", "clean"} <= targets(makefile)
    assert help_faults(makefile, output) == []
    assert help_faults(makefile + "\nsecret:\n\ttrue\n", output) == ["secret"]


def test_environments_hold_extras_that_exist(project):
    named = {}
    for command in ["book", "test", "test-backends", "notebooks", "lab", "lock",
                    *(f"test-gpu KERAS_BACKEND={backend}" for backend in sorted(BACKENDS))]:  # fmt: skip
        status, output = run("make", "--dry-run", *command.split())
        assert status == 0
        for line in re.findall(r"environment\.py +(\S.*)", output):
            folder, *extras = line.split()
            named.setdefault(folder, set()).update(extras)
    assert named[".venv-gpu-tensorflow"] == {"tensorflow", "gpu", "dev"}
    for_readers = {"tensorboard", "cluster"}  # which `pip install` asks for; the checks that need one have it in dev
    assert set().union(*named.values()) == set(project["optional-dependencies"]) - for_readers


DOCUMENTS = ["README.md", "CONTRIBUTING.md", "Makefile", ".ci/run", "tools/check_notebooks.py",
             *sorted(str(p.relative_to(ROOT)) for p in ROOT.glob(".github/workflows/*.yml"))]  # fmt: skip


def command_faults(text, makefile):
    """Commands of make, and tools, that a document names and the project does not have."""
    known = targets(makefile) | {"test-jax", "test-torch"}
    named = re.findall(r"(?:^|`|run: |: |\$ )make ([a-z-]+)\b(?!-\$)", text, re.M)
    tools = re.findall(r"\bpython3? (\w[\w/.]*\.py)\b", text)
    return [name for name in named if name not in known] + [name for name in tools if not (ROOT / name).exists()]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_name_commands_that_exist(document):
    assert command_faults(read(document), read("Makefile")) == []


def test_an_unknown_command_is_found():
    assert command_faults("Then `make boook`, or `python tools/none.py`.", "book:\n") == ["boook", "tools/none.py"]


def package_commands(text):
    return sorted(set(re.findall(r"python -m cnnbook ([a-z]+)", text)))


def test_documents_name_commands_of_the_package_that_exist():
    named = package_commands(read("README.md") + read("CONTRIBUTING.md"))
    assert named
    for name in named:
        assert run(sys.executable, "-m", "cnnbook", name, "--help")[0] == 0, name
    assert run(sys.executable, "-m", "cnnbook", "trian", "--help")[0] != 0


def link_faults(text):
    """Files that a document of the root links to, or shows, and that do not exist."""
    links = re.findall(r"\]\(([^)#]+)\)", text)
    return [link for link in links if "://" not in link and not (ROOT / link).exists()]


@pytest.mark.parametrize("document", ["README.md", "CONTRIBUTING.md"])
def test_documents_link_to_files_that_exist(document):
    assert link_faults(read(document)) == []
    assert link_faults("[a](README.md) [b](no-such-file.md)") == ["no-such-file.md"]


# What machines run


def lint_workflow(*arguments, text=None):
    actionlint = shutil.which("actionlint", path=Path(sys.executable).parent)
    assert actionlint, "the extra dev brings actionlint; give the command: make test"
    return subprocess.run([actionlint, "-no-color", *arguments], cwd=ROOT, input=text, text=True,
                          capture_output=True, check=False)  # fmt: skip


@pytest.mark.parametrize("path", sorted(ROOT.glob(".github/workflows/*.yml")), ids=lambda path: path.name)
def test_actionlint_finds_no_fault(path):
    done = lint_workflow(str(path))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("old, new, fault", [
    ("make test", "make test ${{ matrix.pyton }}", "pyton"),
    ("runs-on: ubuntu-latest", "runs-on: gpu-machine", "gpu-machine"),
    ("checkout@v7", "checkout@v4", "deprecated"),
    ("steps:", "setps:", "setps"),
])  # fmt: skip
def test_actionlint_finds_a_broken_workflow(old, new, fault):
    text = read(".github/workflows/ci.yml")
    assert old in text
    done = lint_workflow("-", text=text.replace(old, new))
    assert done.returncode == 1 and fault in done.stdout


@pytest.mark.parametrize("path", sorted(ROOT.glob(".github/workflows/*.yml")), ids=lambda path: path.name)
def test_workflows_are_bounded(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    assert "concurrency" in workflow
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


def test_the_gpu_never_runs_the_code_of_a_pull_request():
    assert set(yaml.safe_load(read(".github/workflows/gpu.yml"))[True]) == {"schedule", "workflow_dispatch"}


def test_ci_run_is_a_program():
    path = ROOT / ".ci" / "run"
    assert os.access(path, os.X_OK)
    assert subprocess.run(["bash", "-n", path], check=False).returncode == 0
    assert "set -euo pipefail" in path.read_text()


# The check of the notebooks


def test_a_notebook_whose_output_changed_fails(tmp_path):
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "sanitize.cfg", tmp_path / "tests")
    for name, stored in [("good", "2\n"), ("bad", "3\n")]:
        cell = nbformat.v4.new_code_cell("print(1 + 1)", execution_count=1)
        cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=stored)]
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), tmp_path / f"{name}.ipynb")
    status, output = run(sys.executable, ROOT / "tools" / "check_notebooks.py", "good.ipynb", "bad.ipynb", cwd=tmp_path)
    assert status == 1
    assert re.search(r"1 cells +0 failed +good\.ipynb", output)
    assert re.search(r"1 cells +1 failed +bad\.ipynb", output)


def test_without_a_gpu_the_gpu_check_fails_and_says_why():
    status, output = run("make", "test-gpu", f"GPU_PYTHON={sys.executable}", CUDA_VISIBLE_DEVICES="-1")
    assert status and "tensorflow sees no GPU" in output and "never fall back to the CPU" in output
    assert "Traceback" not in output


def test_the_gpu_summary_keeps_one_run_of_each_backend(tmp_path, monkeypatch):
    module = load("tools/check_notebooks.py")
    monkeypatch.setattr(module, "SUMMARY", tmp_path / "nbval-gpu.json")
    for backend, seconds in [("torch", 1.0), ("jax", 2.0), ("torch", 3.0)]:
        module.keep({"backend": backend, "hardware": "a GPU", "versions": {}}, [{"notebook": "a", "seconds": seconds}])
    runs = json.loads(module.SUMMARY.read_text())["runs"]
    assert [(r["backend"], r["notebooks"][0]["seconds"]) for r in runs] == [("jax", 2.0), ("torch", 3.0)]
    assert runs[1]["command"] == "make test-gpu KERAS_BACKEND=torch"


# What imports what


def imports(source):
    """The modules that a source imports, wherever it does: `keras.ops`, and `.x` for a neighbour."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add("." * node.level + (node.module or ""))
    return found


def roots(source):
    return {name.split(".")[0] for name in imports(source) if not name.startswith(".")}


def code_of(path):
    if path.suffix == ".py":
        return path.read_text(encoding="utf-8")
    cells = [c.source for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code"]
    return re.sub(r"(?m)^\s*[%!].*", "", "\n".join(cells))  # IPython's own commands are no Python


@pytest.mark.parametrize("path", sorted([*ROOT.glob("cnnbook/**/*.py"), *ROOT.glob("chapters/**/*.ipynb")]),
                         ids=lambda path: path.name)  # fmt: skip
def test_only_two_modules_know_the_backend(path):
    knows = {ROOT / "cnnbook" / "backend.py", ROOT / "cnnbook" / "training" / "workers.py"}
    allowed = BACKENDS if path in knows else set()
    assert roots(code_of(path)) & BACKENDS <= allowed
    assert roots("def f():\n    import jax.numpy as jnp\n    from torch import nn") & BACKENDS == {"jax", "torch"}


def model_faults(source):
    """Imports of a model file beyond Keras, NumPy for constants, and its own layers."""
    return sorted(name for name in imports(source)
                  if name.split(".")[0] not in ("keras", "numpy", "functools", "math", "sys") and name != "._layers")


@pytest.mark.parametrize("path", sorted(p for p in ROOT.glob("cnnbook/models/*.py") if p.name != "__init__.py"),
                         ids=lambda path: path.name)  # fmt: skip
def test_models_import_only_keras_and_their_layers(path):
    assert model_faults(path.read_text(encoding="utf-8")) == []
    assert model_faults("from cnnbook import data\nimport scipy") == ["cnnbook", "scipy"]


def test_the_definitions_stand_alone():
    assert roots(read("cnnbook/arithmetic.py")) <= sys.stdlib_module_names
    assert roots(read("cnnbook/reference.py")) <= sys.stdlib_module_names | {"numpy", "cnnbook"}
    assert {name for name in imports(read("cnnbook/reference.py")) if name.startswith(("cnnbook", "."))} <= {
        "cnnbook", "cnnbook.arithmetic", ".arithmetic", "."}  # fmt: skip


# What must not be committed


FOREIGN = re.compile(  # /home/ada is the reader of our broken samples
    r"(?<![\w.~}-])/(?:work|root|home|Users|opt|tmp|mnt)/(?!ada\b)\w"
    r"|pypi\.org/simple|files\.pythonhosted\.org|registry\.npmjs|download\.pytorch\.org"
    r"|--(?:extra-)?index-url|--find-link\w"
)


def tracked():
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("no git checkout: which files are the project's is not known")
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_file_names_a_machine_or_an_index():
    faults = []
    for path in tracked():
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except UnicodeDecodeError:
            continue
        faults += [f"{path.relative_to(ROOT)}:{n}: {FOREIGN.search(line)[0]}" for n, line in enumerate(lines, 1)
                   if FOREIGN.search(line)]  # fmt: skip
    assert faults == []


@pytest.mark.parametrize("line", ["see /" + "home/ann/book", "open('/" + "tmp/x')", "pip install --" + "index-url x"])
def test_a_machine_or_an_index_would_be_found(line):
    assert FOREIGN.search(line)
    assert not FOREIGN.search("a/home/b, ../shared/data, https://example.org/tmp/x, ~/work/x, /usr/bin/chromium")


def test_the_licences_are_said():
    text = read("LICENSE")
    assert "SPDX-License-Identifier: MIT" in text and "SPDX-License-Identifier: CC-BY-4.0" in text
    assert "THE SOFTWARE IS PROVIDED" in text and "creativecommons.org/licenses/by/4.0" in text
