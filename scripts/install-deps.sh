#!/bin/bash
# Installs what is missing to build and check Farandole on Debian 12, and nothing else.
#   scripts/install-deps.sh [build|check|fuzz|lint|bench]...   default: build
set -eu

# tool:package where any working copy of the tool will do, package alone otherwise
build_deps="gcc:gcc make:make cmake:cmake ninja:ninja-build pkg-config:pkg-config python3:python3 libc6-dev
    libdnnl-dev libyaml-dev libjansson-dev libxxhash-dev zlib1g-dev libhwloc-dev libcmocka-dev
    libhdf5-dev libjpeg62-turbo-dev libspng-dev libarchive-dev libtiff-dev
    libopenmpi-dev openmpi-bin"
check_deps="g++:g++ clang:clang clang-format:clang-format python3-h5py"
fuzz_deps="clang:clang libclang-rt-14-dev"
lint_deps="clang-tidy:clang-tidy"
# what bench/compare measures against: only where somebody asks for it
bench_deps="python3-torch python3-torchvision libopenblas0-pthread python3-numpy python3-pil libtcmalloc-minimal4 libjemalloc2"

if ! command -v dpkg-query >/dev/null; then
    echo "install-deps: not a Debian system, nothing installed; see scripts/install-deps.sh for what is needed" >&2
    exit 0
fi

wanted=""
for set_name in "${@:-build}"; do
    case $set_name in
    build) wanted+=" $build_deps" ;;
    check) wanted+=" $build_deps $check_deps" ;;
    fuzz) wanted+=" $build_deps $fuzz_deps" ;;
    lint) wanted+=" $build_deps $lint_deps" ;;
    bench) wanted+=" $bench_deps" ;;
    *)
        echo "install-deps: unknown set '$set_name'; known: build check fuzz lint bench" >&2
        exit 2
        ;;
    esac
done

packages=""
missing=""
for item in $wanted; do
    case $item in
    *:*) command -v "${item%%:*}" >/dev/null || missing+=" ${item#*:}" ;;
    *) packages+=" $item" ;;
    esac
done
# shellcheck disable=SC2086 # lists of names
have=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' $packages 2>/dev/null || true)
for package in $packages; do
    grep -qx "$package installed" <<<"$have" || missing+=" $package"
done

if [ -z "$missing" ]; then
    exit 0
fi

as_root=""
if [ "$(id -u)" -ne 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "install-deps: missing and not root, no sudo; please install:$missing" >&2
        exit 1
    fi
    as_root="sudo"
fi
echo "install-deps: installing$missing"
apt="$as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -o Acquire::Retries=3 -o Dpkg::Use-Pty=0"
$apt update </dev/null || echo "install-deps: apt-get update failed, trying with the lists at hand" >&2
# shellcheck disable=SC2086
$apt install -y --no-install-recommends $missing </dev/null >/dev/null
