"""Where kernels come from: Debian's cloud images by apt, or a file of the user's. Read by image.py and main.py.

apt runs with lists, cache and sources of its own, and checks the archive's signature against debian-archive-keyring:
the system's apt is not touched. What was fetched stays in the cache, so that a second run needs no network.
"""

import dataclasses
import fcntl
import hashlib
import json
import lzma
import os
import pathlib
import re
import shutil
import subprocess
import tempfile

MIRROR = os.environ.get("KNP_DEBIAN_MIRROR", "http://deb.debian.org").rstrip("/")
KEYRING = pathlib.Path("/usr/share/keyrings/debian-archive-keyring.gpg")
META_PACKAGE = "linux-image-cloud-amd64"

# What a user says -> the suites whose newest cloud kernel that is.
SUITES = {
    "5.10": ("debian bullseye", "debian-security bullseye-security"),
    "6.1": ("debian bookworm", "debian-security bookworm-security"),
    "6.12": ("debian trixie", "debian-security trixie-security"),
    "sid": ("debian sid",),
}
CODENAMES = {"5.10": "Debian 11", "6.1": "Debian 12", "6.12": "Debian 13", "sid": "Debian's newest"}

# What our tests and programs ask of a kernel; modules that these need come along.
MODULES = ("veth", "sch_ingress", "cls_bpf", "tun", "8021q", "dummy", "bridge", "ifb", "macvlan", "sch_netem",
           "act_gact", "cls_matchall", "cls_u32", "sch_fq_codel", "sch_tbf", "vxlan", "geneve", "ip_gre", "ipip",
           "inet_diag", "tcp_diag", "udp_diag", "nf_conntrack_netlink", "nf_tables", "nft_counter", "nft_chain_nat",
           "nft_nat", "nft_masq", "nft_ct")


class Failure(Exception):
    """What went wrong and what to do, for the user."""


@dataclasses.dataclass
class Kernel:
    name: str  # how the user called it
    image: pathlib.Path  # bzImage, or vmlinux
    release: str  # "5.10.0-46-cloud-amd64", or "" if only the guest can tell
    modules: pathlib.Path | None  # a folder with lib/modules/RELEASE, made by depmod


def canonical(name):
    """The key of SUITES for what the user wrote; None if there is none."""
    if name in SUITES:
        return name
    if name in ("newest", "7") or name.startswith("7."):
        return "sid"
    return None


def cached_release(cache, name):
    try:
        return json.loads((cache / "kernels" / name / "kernel.json").read_text())["release"]
    except FileNotFoundError:
        return None


def debian(cache, name, refresh, say):
    """Debian's kernel from the cache; fetched if it is not there, or newer if `refresh`."""
    folder = cache / "kernels" / name
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if refresh or not cached_release(cache, name):
            _fetch(folder, name, say)
        release = cached_release(cache, name)
        return Kernel(name, folder / "vmlinuz", release, _modules(folder, release))


def own(cache, image, modules):
    """A kernel that the user built. `modules`: what `make modules_install INSTALL_MOD_PATH=` filled, or None."""
    if not image.is_file():
        raise Failure(f"--kernel: {image} is no file; give a bzImage, such as linux/arch/x86/boot/bzImage")
    if modules is None:
        return Kernel(image.name, image, "", None)
    found = sorted((modules / "lib/modules").glob("*/")) or ([modules] if (modules / "modules.order").exists() else [])
    if len(found) != 1 or not found[0].name[0].isdigit():
        raise Failure(f"--modules: {modules} must hold one lib/modules/RELEASE, as `make modules_install "
                      "INSTALL_MOD_PATH=` fills it")
    key = hashlib.sha256(str(found[0].resolve()).encode()).hexdigest()[:12]
    target = cache / "own" / key
    _choose_modules(found[0], target, found[0].resolve().name)
    return Kernel(image.name, image, found[0].resolve().name, target)


# ---- fetching ------------------------------------------------------------------------------------------------------


class _Apt:
    """apt with a configuration of its own in a temporary folder."""

    def __init__(self, folder, suites):
        self._folder = folder
        for part in ("state/lists/partial", "cache/archives/partial", "none"):
            (folder / part).mkdir(parents=True)
        (folder / "status").touch()
        (folder / "sources.list").write_text("".join(
            f"deb [arch=amd64 signed-by={KEYRING}] {MIRROR}/{suite} main\n" for suite in suites))
        settings = {
            "Dir::State": "state", "Dir::State::status": "status", "Dir::Cache": "cache",
            "Dir::Etc::sourcelist": "sources.list", "Dir::Etc::sourceparts": "none",
            "Dir::Etc::preferences": "no-preferences", "Dir::Etc::preferencesparts": "none",
        }
        (folder / "apt.conf").write_text(
            "".join(f'{key} "{folder / value}";\n' for key, value in settings.items()) +
            'APT::Architecture "amd64";\nAPT::Architectures {"amd64";};\nAcquire::Languages "none";\n'
            'APT::Sandbox::User "root";\nAcquire::Retries "2";\nAcquire::http::Timeout "20";\n')

    def run(self, *command, cwd=None):
        environment = dict(os.environ, APT_CONFIG=str(self._folder / "apt.conf"), LC_ALL="C")
        done = subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
        # `apt-get update` calls a mirror that it cannot reach a warning.
        unreachable = command[:2] == ("apt-get", "update") and re.search(r"^(W|E): Failed to fetch", done.stderr, re.M)
        if done.returncode or unreachable:
            last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-6:])
            raise Failure(f"`{' '.join(command)}` failed with the mirror {MIRROR}:\n{last}\n"
                          "Is the mirror reachable? KNP_DEBIAN_MIRROR=http://… names another one.")
        return done.stdout

    def depends(self, package, pattern):
        shown = self.run("apt-cache", "show", "--no-all-versions", package)
        line = re.search(r"^Depends: (.*)$", shown, re.M)
        return re.findall(pattern, line.group(1)) if line else []


def _fetch(folder, name, say):
    if not KEYRING.exists():
        raise Failure(f"{KEYRING} is missing: apt-get install debian-archive-keyring")
    say(f"{name}: reading the package lists of {', '.join(SUITES[name])} from {MIRROR}")
    with tempfile.TemporaryDirectory(prefix="knp-vm-apt-") as temporary:
        temporary = pathlib.Path(temporary)
        apt = _Apt(temporary, SUITES[name])
        apt.run("apt-get", "update")
        images = apt.depends(META_PACKAGE, r"linux-image-(\d[^ ]*-cloud-amd64)")
        if not images:
            raise Failure(f"{META_PACKAGE} of {name} names no kernel: Debian changed how it packs them")
        release = images[0]
        # Newer ones are in parts: linux-image-R depends on linux-binary-R and linux-modules-R.
        parts = apt.depends(f"linux-image-{release}", rf"(linux-(?:binary|modules)-{re.escape(release)})")
        packages = sorted(set(parts)) or [f"linux-image-{release}"]
        say(f"{name}: downloading {', '.join(packages)}")
        downloads = temporary / "downloads"
        downloads.mkdir()
        apt.run("apt-get", "-q", "download", *packages, cwd=downloads)
        tree = temporary / "tree"
        for package in downloads.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", package, tree], check=True)
        _keep(folder, tree, release, say)


def _keep(folder, tree, release, say):
    """Takes over what is needed; kernel.json is written last and says that all is there."""
    (folder / "kernel.json").unlink(missing_ok=True)
    shutil.rmtree(folder / "all-modules", ignore_errors=True)
    candidates = [tree / "boot" / f"vmlinuz-{release}", *tree.glob(f"**/lib/modules/{release}/vmlinuz")]
    image = next((path for path in candidates if path.is_file()), None)
    modules = next((path for path in tree.glob(f"**/lib/modules/{release}") if (path / "kernel").is_dir()), None)
    if not image or not modules:
        raise Failure(f"the packages of {release} hold no vmlinuz or no modules: Debian changed how it packs them")
    shutil.copyfile(image, folder / "vmlinuz")
    shutil.move(modules, folder / "all-modules")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) >> 20
    (folder / "kernel.json").write_text(json.dumps({"release": release}) + "\n")
    say(f"{folder.name}: Linux {release} is in {folder} ({size} MiB)")


# ---- modules -------------------------------------------------------------------------------------------------------


def _modules(folder, release):
    key = hashlib.sha256(" ".join((release, *MODULES)).encode()).hexdigest()[:12]
    target = folder / f"modules-{key}"
    if not target.exists():
        for old in folder.glob("modules-*"):
            shutil.rmtree(old)
        _choose_modules(folder / "all-modules", target, release)
    return target


def _choose_modules(source, target, release):
    """Copies MODULES and what they need, uncompressed, and lets depmod write what modprobe reads."""
    by_name = {_module_name(path): path for path in source.rglob("*.ko*")}
    shutil.rmtree(target, ignore_errors=True)
    work = target.with_name(target.name + ".part")
    shutil.rmtree(work, ignore_errors=True)
    folder = work / "lib/modules" / release
    folder.mkdir(parents=True)
    wanted, done = list(MODULES), set()
    while wanted:
        name = wanted.pop().replace("-", "_")
        if name in done or name not in by_name:  # built in, or not there: the kernel's features tell
            continue
        done.add(name)
        content = _read_module(by_name[name])
        (folder / f"{name}.ko").write_bytes(content)
        depends = re.search(rb"\0depends=([^\0]*)\0", content)
        wanted += depends.group(1).decode().split(",") if depends else []
    for index in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
        if (source / index).exists():
            shutil.copy(source / index, folder)
        else:
            (folder / index).touch()
    done = subprocess.run(["/sbin/depmod", "-b", work, release], capture_output=True, text=True, check=False)
    if done.returncode:
        raise Failure(f"depmod could not read the modules of {release}: {done.stderr.strip()}")
    work.rename(target)


def _module_name(path):
    return path.name.split(".ko")[0].replace("-", "_")


def _read_module(path):
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dcq", path], stdout=subprocess.PIPE, check=True).stdout
    return path.read_bytes()
