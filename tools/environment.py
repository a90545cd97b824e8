"""Make a virtual environment, or bring it up to date: every `make` command begins here.

    python3 tools/environment.py .venv book               the package with its extra "book", as the lock says
    python3 tools/environment.py .venv book dev --newest  the newest versions instead of the lock's

It installs nothing when the environment already has these extras from this lock, so a second run needs no network.
It needs only the standard library, and any Python can read it (no f-strings), so an old one gets a clear message.
"""

import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys

OLDEST, NEWEST = (3, 11), (3, 13)
LOCK = "requirements.txt"


def main(folder, extras, newest):
    check_python(sys.version_info[:2])
    with open(__file__) as gate:  # two commands at once: the second waits for the first
        fcntl.flock(gate, fcntl.LOCK_EX)
        stamp = os.path.join(folder, "cnnbook.json")
        before = read(stamp)
        wanted = {"inputs": fingerprint(newest), "python": platform.python_version(), "path": os.path.abspath(folder)}
        if all(before.get(key) == value for key, value in wanted.items()):
            extras = sorted(set(extras) | set(before["extras"]))
            if extras == before["extras"]:
                return
        if before.get("interrupted") or not usable(folder, before):
            say("Making " + folder + " with Python " + wanted["python"] + ".")
            create(folder)
            before = {}
        say("Installing " + ", ".join(extras) + " into " + folder + ": this takes a minute or two.")
        write(stamp, {"interrupted": True})
        try:
            install(os.path.join(folder, "bin", "python"), extras, newest)
        except subprocess.CalledProcessError:
            write(stamp, before)  # pip left the environment as it was
            sys.exit("pip could not install what " + folder + " needs; its message stands above. It asks the package "
                     "index, so it needs a network. Then give the same command again.")
        write(stamp, dict(wanted, extras=extras))


def check_python(version):
    """End with a clear message when this Python cannot run the book."""
    names = ["3." + str(minor) for minor in range(OLDEST[1], NEWEST[1] + 1)]
    found = sys.executable + " is Python " + ".".join(map(str, version))
    if not OLDEST <= version <= NEWEST:
        sys.exit("The book needs Python " + ", ".join(names[:-1]) + " or " + names[-1] + " (TensorFlow has no wheel "
                 "for others); " + found + ".\nName another one, for example: export PYTHON=python" + names[-1])
    try:
        import ensurepip  # noqa: F401
        import venv  # noqa: F401
    except ImportError:
        sys.exit(found + ", without its modules venv and ensurepip, which make the book's environment.\n"
                 "On Debian or Ubuntu, install them with: apt-get install python3-venv")


def fingerprint(newest):
    """A digest of what decides which packages are installed."""
    import tomllib

    with open("pyproject.toml", "rb") as file:
        tables = tomllib.load(file)
    parts = [tables["build-system"], tables["project"], tables["tool"]["setuptools"]]
    with open(LOCK, "rb") as file:
        lock = "newest" if newest else file.read().decode()
    return hashlib.sha256(json.dumps([parts, lock], sort_keys=True).encode()).hexdigest()


def usable(folder, before):
    """Whether `folder` holds an environment of this very Python, at this place, with a pip that starts."""
    if before.get("path", os.path.abspath(folder)) != os.path.abspath(folder):
        return False
    question = [os.path.join(folder, "bin", "python"), "-c",
                "import pip._internal.commands.install, platform; print(platform.python_version())"]
    try:
        answer = subprocess.run(question, capture_output=True, text=True).stdout.strip()
    except OSError:
        return False
    return answer == platform.python_version()


def create(folder):
    if os.path.exists(folder) and not os.path.exists(os.path.join(folder, "pyvenv.cfg")) and os.listdir(folder):
        sys.exit(folder + " is in the way: it is no virtual environment. Move it away and try again.")
    try:
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
    except BaseException as error:  # half an environment is worse than none
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, subprocess.CalledProcessError):
            sys.exit("Python could not make the virtual environment " + folder + "; its message stands above.")
        raise


def install(python, extras, newest):
    package = ".[" + ",".join(extras) + "]"
    if newest:
        pip(python, "--upgrade", "--upgrade-strategy", "eager", *unpinned(extras))
        pip(python, "--no-deps", "--editable", package)
    else:
        pip(python, "--constraint", LOCK, "--editable", package)


def pip(python, *arguments):
    command = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command.extend(arguments)
    quiet = dict(os.environ, PYTHONWARNINGS="ignore:Editable installation")  # setuptools' advice on folder names
    subprocess.run(command, check=True, env=quiet)


def unpinned(extras):
    """The project's requirements without their bounds. An exact pin stays: pyproject.toml says why each is there."""
    import tomllib

    with open("pyproject.toml", "rb") as file:
        project = tomllib.load(file)["project"]
    lines = project["dependencies"] + [line for extra in extras for line in project["optional-dependencies"][extra]]
    return [line if re.search(r"==[\d.]+(post\d+)?$", line) else re.match(r"[\w.-]+(\[.*?\])?", line)[0]
            for line in lines]  # fmt: skip


def read(path):
    try:
        with open(path) as file:
            return json.load(file)
    except (OSError, ValueError):
        return {}


def write(path, content):
    with open(path + ".new", "w") as file:
        json.dump(content, file)
    os.replace(path + ".new", path)


def say(line):
    sys.stderr.write(line + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    words = [word for word in sys.argv[1:] if word != "--newest"]
    try:
        main(words[0], sorted(words[1:]), "--newest" in sys.argv)
    except KeyboardInterrupt:
        sys.exit("\nInterrupted. The same command again starts this environment afresh.")
