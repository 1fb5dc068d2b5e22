"""Name what a repaired wheel bundles: licence texts and, where the repair wrote none, an SBOM.

Usage: python .ci/bundled.py WHEEL_OR_DIRECTORY...

auditwheel, delocate and delvewheel copy the OpenMP runtime into a wheel, without its licence. The wheel is
rewritten in place; the same wheel always gives the same bytes.
"""

import base64
import hashlib
import json
import sys
import zipfile
from pathlib import Path

LICENCES = Path(__file__).parent / "licences"
# file name starts with: SPDX expression (None: none of SPDX's), licence texts
RUNTIMES: dict[str, tuple[str | None, list[str]]] = {
    "libgomp": ("GPL-3.0-or-later WITH GCC-exception-3.1", ["GPL-3.0.txt", "GCC-exception-3.1.txt"]),
    "libomp": ("Apache-2.0 WITH LLVM-exception", ["Apache-2.0-with-LLVM-exception.txt"]),
    "vcomp140": (None, ["vcomp140.txt"]),
}
FOLDERS = ("convlite.libs/", "convlite/.dylibs/")  # where the three tools put libraries
LIBRARIES = (".so", ".dylib", ".dll")


def bundled(names: list[str]) -> dict[str, str]:
    """The libraries among a wheel's files, each with its row of RUNTIMES."""
    found = {}
    for name in names:
        base = name.rpartition("/")[2]
        if not name.startswith(FOLDERS) or not any(kind in base for kind in LIBRARIES):
            continue
        row = next((row for row in RUNTIMES if base.startswith(row)), None)
        if row is None:
            raise SystemExit(f"{name}: no licence is known for it; add a row to {Path(__file__).name}")
        found[name] = row
    return found


def with_licences(metadata: str, rows: list[str]) -> str:
    """METADATA that names the licence files, and the expression of all that the wheel holds."""
    head, blank, body = metadata.partition("\n\n")
    lines = head.splitlines()
    last = max(i for i, line in enumerate(lines) if line.startswith("License-File:"))
    lines[last + 1 : last + 1] = [f"License-File: {text}" for row in rows for text in RUNTIMES[row][1]]
    for row in rows:
        expression = RUNTIMES[row][0] or "LicenseRef-Microsoft-Redistributable"
        lines = [
            f"{line} AND {expression}" if line.startswith("License-Expression:") else line for line in lines
        ]
    return "\n".join(lines) + blank + body


def sbom(version: str, libraries: dict[str, str], contents: dict[str, bytes]) -> bytes:
    """A CycloneDX bill of materials: convlite, and the libraries with their hashes."""
    components = [
        {
            "type": "library",
            "name": name.rpartition("/")[2],
            "hashes": [{"alg": "SHA-256", "content": hashlib.sha256(contents[name]).hexdigest()}],
            "licenses": [{"expression": RUNTIMES[row][0]}]
            if RUNTIMES[row][0]
            else [{"license": {"name": "Microsoft Visual C++ Redistributable"}}],
        }
        for name, row in sorted(libraries.items())
    ]
    package = {
        "type": "library",
        "name": "convlite",
        "version": version,
        "purl": f"pkg:pypi/convlite@{version}",
    }
    bill = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": package},
        "components": components,
    }
    return json.dumps(bill, indent=1).encode()


def record(contents: dict[str, bytes], name: str) -> bytes:
    """RECORD: path, hash and size of every file, and of itself only the path."""
    lines = []
    for path, data in contents.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
        lines.append(f"{path},," if path == name else f"{path},sha256={digest},{len(data)}")
    return ("\n".join(lines) + "\n").encode()


def rewrite(wheel: Path) -> None:
    """Add to one wheel what it lacks; a wheel that bundles nothing is left alone."""
    with zipfile.ZipFile(wheel) as archive:
        infos = {info.filename: info for info in archive.infolist() if not info.is_dir()}
        contents = {name: archive.read(name) for name in infos}
    libraries = bundled(list(contents))
    (info,) = (name.removesuffix("METADATA") for name in contents if name.endswith(".dist-info/METADATA"))
    rows = sorted(set(libraries.values()))
    texts = [text for row in rows for text in RUNTIMES[row][1]]
    if all(f"{info}licenses/{text}" in contents for text in texts):
        print(f"{wheel.name}: nothing to add")
        return
    stamp = infos[f"{info}METADATA"]
    table = contents.pop(f"{info}RECORD")
    contents[f"{info}METADATA"] = with_licences(contents[f"{info}METADATA"].decode(), rows).encode()
    for text in texts:
        contents[f"{info}licenses/{text}"] = (LICENCES / text).read_bytes()
    if not any(name.startswith(f"{info}sboms/") for name in contents):
        version = info.partition(".dist-info")[0].partition("-")[2]
        contents[f"{info}sboms/bundled.cdx.json"] = sbom(version, libraries, contents)
    contents[f"{info}RECORD"] = table
    contents[f"{info}RECORD"] = record(contents, f"{info}RECORD")
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in contents.items():
            old = infos.get(name, stamp)
            new = zipfile.ZipInfo(name, old.date_time)
            new.external_attr = old.external_attr
            new.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(new, data, compresslevel=9)
    print(f"{wheel.name}: {', '.join(sorted(libraries))}; added {', '.join(texts)}")


if __name__ == "__main__":
    for argument in map(Path, sys.argv[1:]):
        for path in sorted(argument.glob("*.whl")) if argument.is_dir() else [argument]:
            rewrite(path)
