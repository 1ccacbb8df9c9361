# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034
#
# What the scripts of the harness share. Source this first:
#
#   . "${BASH_SOURCE%/*}/../lib.sh"

set -euo pipefail

top=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
tools=$top/tools/dma-buf-poll
cache=${XDG_CACHE_HOME:-$HOME/.cache}/dma-buf-poll
# What boots a guest: guest.py says what another one has to do.
vm=${VM:-$tools/vm/guest.py}

# Every message goes to stderr: stdout belongs to what a script is asked for.
say() { printf '%s\n' "$*" >&2; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

[ -z "${VM-}" ] || command -v -- "$VM" >/dev/null || die "VM=$VM: there is no such program"

bases() { awk '!/^#/ && NF { print $1 }' "$tools/tree/bases"; }

# base_field BASE N: column N of the table of bases
base_field() {
	awk -v base="$1" -v n="$2" '!/^#/ && $1 == base { print $n }' "$tools/tree/bases"
}

check_base() {
	bases | grep -xF -- "$1" >/dev/null ||
		die "unknown BASE '$1': known are $(bases | paste -sd' ')"
}

# variants BASE: what it is built as. By itself, with the topics that are to be merged
# first if these are not all, and with all of them.
variants() {
	local topics

	topics=" $(awk -F/ '!/^#/ && NF > 1 { print $(NF - 1) }' "$top/patches/$1/series" | uniq | paste -sd' ') "
	if [[ $topics = *' poll-fixes '* && $topics = *' poll-rework '* ]]; then
		echo stock fixes rework
	else
		echo stock rework
	fi
}

# check_variant VARIANT BASE: does it have that? steps.py has one more for itself.
check_variant() {
	case " $(variants "$2") ${DBP_STEP:+step} " in
	*" $1 "*) ;;
	*) die "$2 has no VARIANT '$1': it has $(variants "$2")" ;;
	esac
}

# arch_field KEY [ARCH]: what the table of architectures says of it
arch_field() {
	awk -v key="$1" -v arch="[${2-$arch}]" '/^\[/ { on = $1 == arch }
		on && $1 == key && $2 == "=" { sub(/^[^=]*= */, ""); print }' "$tools/kernel/arches"
}

# arches [KEY]: the names of all, or of those of which the table says something
arches() {
	awk -v key="${1-}" '/^\[/ { name = substr($1, 2, length($1) - 2); if (key == "") print name }
		key != "" && $1 == key && $2 == "=" { print name }' "$tools/kernel/arches"
}

# ARCH of make, under a name that kbuild does not take for its own. This machine's own
# is built without a cross compiler, and its results have no name of theirs.
export DBP_ARCH=${DBP_ARCH:-${ARCH-}}
unset ARCH
own_arch=$(awk -v uname="$(uname -m)" '/^\[/ { name = substr($1, 2, length($1) - 2) }
	$1 == "uname" && $3 == uname { print name }' "$tools/kernel/arches")
arch=${DBP_ARCH:-${own_arch:-x86_64}}
if [ -z "$(arch_field qemu)" ]; then
	[ -z "$(arch_field uname)" ] ||
		die "no guest runs on ARCH=$arch: it is only compiled for, by 'make check ARCHES=$arch'"
	die "unknown ARCH '$arch': known are $(arches qemu | xargs)"
fi
arch_suffix='' cross=''
if [ "$arch" != "$own_arch" ]; then
	arch_suffix=-$arch
	cross=$(arch_field cross)
fi
case ${PAGES-} in
''|4k) unset PAGES ;;
*)
	case " $(arch_field pages) " in
	*" $PAGES "*) arch_suffix+=-$PAGES ;;
	*) die "$arch has no PAGES=$PAGES: it has $(xargs <<<"4k $(arch_field pages)")" ;;
	esac
	;;
esac

# kbuild for that; every make of the kernel gets it
kbuild=(ARCH="$(arch_field kbuild)" CROSS_COMPILE="$cross")

# need_compiler: that for another architecture than this machine's, or one line
need_compiler() {
	[ -z "$cross" ] || command -v "${cross}gcc" >/dev/null ||
		die "no ${cross}gcc here, to compile for $arch: apt-get install $(arch_field packages)"
}

# guest_args BASE VARIANT: $guest, what its guest is to be booted with. Of this machine's
# own kind that is the kernel.
guest_args() {
	guest=(--kernel "$(variant_image "$1" "$2")")
	[ -n "$cross" ] || return 0
	need_foreign_root
	guest+=(--arch "$arch" --busybox "$foreign_root/bin/busybox")
}

# guest_cpus N: $cpus, how many a guest is to have, N if nobody says otherwise
guest_cpus() {
	local most

	most=$(arch_field cpus)
	[ -z "$most" ] || [ "${SMP:-0}" -le "$most" ] || die "SMP=$SMP: a guest of $arch has $most here"
	cpus=${SMP:-$1}
	[ -z "$most" ] || [ "$cpus" -le "$most" ] || cpus=$most
}

# own_arch_only WHAT: it takes programs that are only there for this machine
own_arch_only() {
	[ -z "$arch_suffix" ] || die "$1 runs on $own_arch only, with 4 KiB pages: leave out ARCH=$arch${PAGES:+ and PAGES=$PAGES}"
}

# check_compared BASE VARIANT WHAT: one that WHAT can hold against the stock kernel
check_compared() {
	check_variant "$2" "$1"
	[ "$2" != stock ] ||
		die "$3 has the stock kernel beside another: say VARIANT=rework, or another of $(variants "$1")"
}

# variant_src BASE VARIANT: the source of it. Only that of rework is for people.
variant_src() {
	case $2 in
	rework) printf '%s\n' "$top/build/$1/src" ;;
	*) printf '%s\n' "$top/build/$1/$2/src" ;;
	esac
}

# variant_obj BASE VARIANT: where it is built, with DEBUG=1 and so on. Just below the
# source, because then kbuild calls that "..", and the objects of one variant are good
# in another one, for make as well as for ccache.
variant_obj() {
	printf '%s/%s\n' "$(variant_src "$1" "$2")" "$(flavour obj)"
}

# variant_image BASE VARIANT: its kernel
variant_image() {
	printf '%s/%s\n' "$(variant_obj "$1" "$2")" "$(arch_field image)"
}

# args_end: the end of what a script has to say about its arguments. The Makefile asks
# for no more than that at first, before anything is built.
args_end() {
	[ -z "${ARGS_ONLY-}" ] || exit 0
}

# args_variant USAGE [BASE [VARIANT]]: the arguments that most scripts begin with. Sets
# $base, $variant, and $name, which is the variant with its flavour.
args_variant() {
	[ $# -ge 3 ] || die "usage: $1"
	base=$2 variant=$3
	check_base "$base"
	check_variant "$variant" "$base"
	name=$(flavour "$variant")
}

# check_flag NAME VALUE: an option of make that is on, off, or a mistake
check_flag() {
	case $2 in
	''|0|1) ;;
	*) die "$1=$2 makes no sense: say $1=1 or leave it out" ;;
	esac
}

# What a kernel can be built with besides the usual, each config/NAME.config
flavours=(debug kcsan rt nosmp gcov)

# check_repeat: REPEAT, how many times to run what is asked for, or one line
check_repeat() {
	case ${REPEAT:=1} in
	*[!0-9]*|0*) die "REPEAT=$REPEAT: say how many times, 1 or more" ;;
	esac
}

# Which of them is asked for, or nothing
flavour_kind() {
	local kind flag on=

	for kind in "${flavours[@]}"; do
		flag=${kind^^}
		check_flag "$flag" "${!flag-}"
		[ "${!flag:-0}" = 1 ] || continue
		[ -z "$on" ] || die "$on=1 and $flag=1 exclude each other: one kernel for each"
		on=$flag
	done
	printf '%s\n' "${on,,}"
}

# The name of an object tree: stock, rework-debug, rework-arm64, rework-arm64-kcsan, ...
flavour() {
	local kind

	# Where it is called in $( ) an error ends nothing by itself.
	kind=$(flavour_kind) || exit
	printf '%s\n' "$1$arch_suffix${kind:+-$kind}"
}

# plain_kernels WHAT: it runs what is built without any of these, and on as many
# CPUs as it likes
plain_kernels() {
	local kind

	kind=$(flavour_kind) || exit
	[ -z "$kind" ] || die "$1 has kernels of its own: leave out ${kind^^}=1"
	[ -z "${SMP-}" ] || die "$1 has a number of CPUs of its own: leave out SMP=$SMP"
}

# need_space DIR GIB: fail now with one line and not later with a thousand
need_space() {
	local free

	mkdir -p "$1"
	free=$(df -Pk "$1" | awk 'NR == 2 { print int($4 / 1048576) }')
	[ "$free" -ge "$2" ] ||
		die "$1 has $free GiB free, this needs $2: make room, or 'make distclean'"
}

# lock NAME [DIR]: one at a time, of those who work in DIR, or in build/. Held until
# the script that called it ends; what it calls inherits the lock and does not take
# it again.
lock() {
	local var=DBP_LOCK_${1//[^A-Za-z0-9]/_} dir=${2:-$top/build} fd

	[ -z "${!var-}" ] || return 0
	mkdir -p "$dir"
	exec {fd}>"$dir/.lock-$1"
	if ! flock -n "$fd"; then
		say "waiting for another make that works on $1"
		flock "$fd"
	fi
	export "$var=1"
}

# hash of files, names included, in a stable order
hash_files() {
	(cd "$top" && printf '%s\0' "$@" | LC_ALL=C sort -z | xargs -0 sha256sum) |
		sha256sum | cut -c1-16
}

# link_files FROM TO: hard links if that can be, else a copy
link_files() {
	cp -al "$1" "$2" 2>/dev/null || { rm -rf "$2"; cp -a "$1" "$2"; }
}

# copy_git FROM TO: a repository of its own. Objects are never written to.
copy_git() {
	mkdir -p "$2"
	find "$1" -mindepth 1 -maxdepth 1 ! -name objects ! -name worktrees ! -name '*.lock' \
		-exec cp -a -t "$2" {} +
	link_files "$1/objects" "$2/objects"
}

# The same commits from the same files, whoever makes them
as_nobody=(env GIT_CONFIG_GLOBAL=/dev/null
	GIT_AUTHOR_NAME=dma-buf-poll GIT_AUTHOR_EMAIL=dma-buf-poll@localhost
	GIT_COMMITTER_NAME=dma-buf-poll GIT_COMMITTER_EMAIL=dma-buf-poll@localhost
	GIT_AUTHOR_DATE=2026-01-01T00:00:00Z GIT_COMMITTER_DATE=2026-01-01T00:00:00Z)

# tree_changes TREE [all]: what somebody has done in a tree that compose.sh made, or
# nothing. With "all" what is lost if it is removed counts as well.
tree_changes() {
	local dir=$1 head name

	name=$(GIT_OPTIONAL_LOCKS=0 git -C "$dir" status --porcelain 2>&1 | sed -n '1s/^...//p')
	if [ -n "$name" ]; then
		printf 'has edits, in %s\n' "$name"
		return
	fi
	head=$(git -C "$dir" rev-parse -q --verify HEAD)
	for name in composed composing; do
		[ "$head" != "$(git -C "$dir" rev-parse -q --verify "refs/dbp/$name")" ] || head=
	done
	if [ -n "$head" ]; then
		printf 'has commits of your own\n'
	elif [ "${2-}" = all ]; then
		git -C "$dir" for-each-ref --count=1 --format='has a %(refname:short) of your own' \
			--no-merged refs/dbp/composed refs/heads refs/stash
	fi
}

# need_tree BASE: for those who are called by hand, and not by make
need_tree() {
	[ -f "$top/build/$1/tree.stamp" ] || die "$1: build/$1/src has not been composed: run 'make tree BASE=$1' first"
}

# tree_at BASE NAME COMMIT: build/BASE/NAME/src is a tree at this commit of
# build/BASE/src. It is there to be built; whoever has edited it anyway is told.
tree_at() {
	local src=$top/build/$1/src dir=$top/build/$1/$2/src commit from why

	commit=$(git -C "$src" rev-parse -q --verify "$3^{commit}") ||
		die "$1: build/$1/src has no $3"
	if [ ! -e "$dir" ]; then
		rm -rf "$dir.part"
		mkdir -p "$dir.part"
		if [ "$2" = stock ]; then
			# Never links to a tree in which people write.
			from=$src
			find "$from" -mindepth 1 -maxdepth 1 ! -name .git ! -name 'obj*' \
				-exec cp -a --reflink=auto -t "$dir.part" {} +
			copy_git "$from/.git" "$dir.part/.git"
		else
			tree_at "$1" stock base
			from=$top/build/$1/stock/src
			find "$from" -mindepth 1 -maxdepth 1 ! -name .git ! -name 'obj*' \
				-exec cp -al -t "$dir.part" {} +
			copy_git "$from/.git" "$dir.part/.git"
			git -C "$dir.part" fetch -q --no-tags "$src" "$commit"
		fi
		# This is a copy: nothing of anybody's can be in the way.
		git -C "$dir.part" checkout -q -f --detach "$commit"
		git -C "$dir.part" clean -q -f -d
		git -C "$dir.part" update-ref refs/dbp/composed "$commit"
		mv "$dir.part" "$dir"
		return 0
	fi
	why=$(tree_changes "$dir")
	[ -z "$why" ] ||
		die "$1: build/$1/$2/src $why, and is only made to be built: work in build/$1/src, and remove that directory"
	[ "$(git -C "$dir" rev-parse HEAD)" != "$commit" ] || return 0
	cp "$src/.git/objects/info/alternates" "$dir/.git/objects/info/" 2>/dev/null || :
	git -C "$dir" fetch -q --no-tags "$src" "$commit"
	git -C "$dir" update-ref refs/dbp/composing "$commit"
	git -C "$dir" checkout -q --detach "$commit"
	git -C "$dir" update-ref refs/dbp/composed "$commit"
}

# variant_tree BASE VARIANT: its source, made from build/BASE/src, if it is another one
variant_tree() {
	local why

	need_tree "$1"
	case $2 in
	stock) tree_at "$1" stock base ;;
	fixes)
		why=$(tree_changes "$top/build/$1/src")
		[ -z "$why" ] || say "warning: the fixes variant has no changes of yours: 'make refresh' first"
		tree_at "$1" fixes refs/dbp/fixes
		;;
	esac
}

# The scripts of the kernel want the modules of Debian's Python, not of another
# one that comes first in PATH; to those of old kernels it is just "python".
kernel_path() {
	mkdir -p "$top/build/.bin"
	ln -sfn /usr/bin/python3 "$top/build/.bin/python"
	PATH=$top/build/.bin:/usr/bin:$PATH
}

# guest_tests BASE VARIANT [TEST]...: what selftest-job.sh is to run: $tests, or all of
# them, $modules, the files of those of KUnit, and $when
guest_tests() {
	local list=$top/build/$1/kselftest$arch_suffix/kselftest-list.txt kind obj module test

	kind=$(flavour_kind) || exit
	obj=$(variant_obj "$1" "$2")
	[ -f "$list" ] || die "$1: the kselftest has not been built: run 'make selftest'"
	tests=("${@:3}") modules=() when=
	# KUnit runs when its module is loaded. Only those that a series adds: on
	# mainline that is the module all tests of dma-buf are in.
	if [ $# = 2 ] && [ "$2" != stock ]; then
		when=kunit
		for module in "$obj"/drivers/dma-buf/{st-dma-buf-poll,st-dma-buf-poll-classic,dmabuf_kunit,st-dma-buf-poll-proof}.ko; do
			[ ! -f "$module" ] || modules+=("$module")
		done
	fi
	if [ $# = 2 ]; then
		when+=' all'
		mapfile -t tests < <(sed -n 's/^dma-buf://p' "$list")
		# Races are for kernels that look for them.
		[ -z "$kind" ] || tests+=(poll_race)
	fi
	# Guests of another machine are slower still.
	[ -z "$kind" ] || when+=" debug${arch_suffix:+ debug-emulated}"
	for test in "${tests[@]}"; do
		[ -x "${list%/*}/dma-buf/$test" ] ||
			die "no test $test in the kselftest: there are $(sed -n 's/^dma-buf://p' "$list" | paste -sd' ')"
	done
}

# What a test script counts, as KTAP: for people, for test.sh, and for whoever reads it.
# Each result is printed when it is there, so nobody knows yet how many will come. KTAP has
# a plan first or none, and the kernel's kunit.py parse never gets past one at the end.
# Whether all is there shows in the last line. ktap.py does the same in Python.
passed=0 failed=0 skipped=0 told=0

# tell RESULT WHAT: the next line of it
tell() {
	[ $told != 0 ] || echo "KTAP version 1"
	told=$((told + 1))
	echo "$1 $told - $2"
}

ok() {
	tell ok "$1"
	passed=$((passed + 1))
}

# not_ok WHAT [LINES]: stdin says why; the first LINES of it are shown. Never the
# end of a pipe: that would not be counted. All of stdin is read: whoever writes there
# would end with SIGPIPE, and everything with it.
not_ok() {
	tell 'not ok' "$1"
	sed -n "1,${2:-20}s/^/#   /p"
	failed=$((failed + 1))
}

skip() {
	tell ok "$1 # SKIP $2"
	skipped=$((skipped + 1))
}

# check [-q] WHAT COMMAND...: ok if its status is 0 and, with -q, it says nothing.
# What it said goes to $log, and its end, or with -q its beginning, is shown.
check() {
	local quiet=0 said status=0

	: "${log:?where check is to keep what it hears}"
	[ "$1" != -q ] || { quiet=1; shift; }
	said=$log/${1//[^A-Za-z0-9]/-}.log
	"${@:2}" >"$said" 2>&1 </dev/null || status=$?
	if [ $status = 0 ] && { [ $quiet = 0 ] || [ ! -s "$said" ]; }; then
		ok "$1"
	elif [ $quiet = 1 ]; then
		not_ok "$1" <"$said"
	else
		not_ok "$1 (see $said)" < <(tail -n 12 "$said")
	fi
}

# tally NAME STATUS LINE: add what the last line of a part counts. Without such a
# line, or with a status that does not go with it, that is one failure more.
tally() {
	local last='^([0-9]+) passed, ([0-9]+) failed, ([0-9]+) skipped$'

	if ! [[ $3 =~ $last ]]; then
		not_ok "$1 did not come to its end (status $2)" </dev/null
		return
	fi
	passed=$((passed + BASH_REMATCH[1]))
	failed=$((failed + BASH_REMATCH[2]))
	skipped=$((skipped + BASH_REMATCH[3]))
	if [ "$2" != 0 ] && [ "${BASH_REMATCH[2]}" = 0 ]; then
		not_ok "$1 ended with status $2, and no test says why" </dev/null
	fi
}

# series_lines SRC: every line of C that the series has written there, FILE:LINE
series_lines() {
	git -C "$1" diff -U0 --no-renames base -- '*.c' '*.h' | awk '
		/^\+\+\+ / { file = substr($0, 7) }
		/^@@/ {
			n = split($3, at, ",") > 1 ? at[2] : 1
			for (i = 0; i < n; i++) print file ":" substr(at[1], 2) + i
		}'
}

# compile_ours MAKE [OBJECT]...: drivers/dma-buf with all warnings, what the series
# adds by name as well: 5.10 leaves modules out of a directory, and would leave them
# out of both in one go.
compile_ours() {
	"$1" W=1 drivers/dma-buf/ && { [ $# = 1 ] || "$1" W=1 "${@:2}"; }
}

# The last line, and the status that goes with it
verdict() {
	printf '%d passed, %d failed, %d skipped\n' "$passed" "$failed" "$skipped"
	[ "$failed" = 0 ]
}

# private_apt NAME SUITE...: ask Debian's archive what these suites have, "own" for those
# of this machine, "own-release" for these without its security updates, in an apt
# configuration of our own, in the cache. The mirror is this
# machine's, and so is what else stands in /etc/apt, such as a proxy: that is why this is
# not chdist, which reads nothing there. It is as if no package were installed, and
# nothing can be: dpkg is out of reach, as it would install into this machine. $apt_arch
# asks for the packages of another architecture. Sets $apt_dir, and $apt, the command line
# options. Returns 1, with the reason in $why, if
# there is no answer.
why=
private_apt() {
	local keyring=/usr/share/keyrings/debian-archive-keyring.gpg own mirror suite

	apt_dir=$cache/apt/$1
	command -v apt-get >/dev/null || { why="no apt-get here to ask Debian's archive with"; return 1; }
	[ -f "$keyring" ] || { why="$keyring is missing: apt-get install debian-archive-keyring"; return 1; }
	# "URI suite" a line
	# shellcheck disable=SC2016 # it is apt-get that expands these
	own=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(COMPONENT) $(CREATED_BY)' | awk '
		$3 == "main" && $4 == "Packages" && $1 ~ /\/debian(-security)?\/?$/ { print $1, $2 }' | sort -u)
	mirror=$(sed -n '/-security/d; s/ .*//; p; q' <<<"$own")
	[ -n "$mirror" ] || { why="no Debian mirror in this machine's apt configuration"; return 1; }

	mkdir -p "$apt_dir"/{lists,archives}/partial
	for suite in "${@:2}"; do
		case $suite in
		own) printf '%s\n' "$own" ;;
		own-release) sed '/-security/d' <<<"$own" ;;
		*-security) sed -n "/-security/{s/ .*/ $suite/p; q}" <<<"$own" ;;
		*) printf '%s\n' "$mirror $suite" ;;
		esac
	done | sort -u | sed "s|.*|deb [signed-by=$keyring] & main|" >"$apt_dir/sources.list"
	: >"$apt_dir/status"
	apt=(-q -o Dir::Etc::sourcelist="$apt_dir/sources.list" -o Dir::Etc::sourceparts=/dev/null
	     -o Dir::State::lists="$apt_dir/lists" -o Dir::Cache="$apt_dir" -o Dir::State::status="$apt_dir/status"
	     -o Dir::Etc::preferencesparts=/dev/null -o Dir::Etc::preferences=/dev/null
	     -o Acquire::Languages=none -o APT::Sandbox::User=root -o Acquire::Retries=2
	     -o Dir::Bin::dpkg=/bin/false)
	[ -z "${apt_arch-}" ] || apt+=(-o APT::Architecture="$apt_arch" -o APT::Architectures="$apt_arch")
	apt-get "${apt[@]}" update >"$apt_dir/update.log" 2>&1 || {
		why="no answer from the Debian archive: $(grep -m1 '^[EW]' "$apt_dir/update.log" || echo "see $apt_dir/update.log")"
		return 1
	}
}

# suite_root SUITE NAME ROOT GIB PACKAGE...: these packages as Debian's SUITE has them, and
# what they depend on down to the C library, unpacked into ROOT, from this machine's own
# mirror. That takes GIB. What apt needs stays in the cache under NAME. No script of a
# package is run. Returns 1, with the reason in $why, if that cannot be had.
suite_root() {
	if [ "$(cat "$3/.packages" 2>/dev/null || :)" = "${*:5}" ] && [ "${REFRESH:-0}" != 1 ]; then
		say "$5 $(cat "$3/.version") of $1 in ${3#"$top/"}"
		return
	fi
	need_space "$cache" "$4"
	need_space "${3%/*}" "$4"
	# In a subshell, so that nobody holds the lock longer than this takes.
	why=$(suite_unpack "$@")
}

# The rest of it. Says on stdout what is wrong.
suite_unpack() {
	local suite=$1 root=$3 before n=0 version deb last=$SECONDS roots=("${@:5}")

	# The cache is shared by all checkouts, and ROOT may be in it.
	before=$(stat -c %Y "$root/.packages" 2>/dev/null || :)
	lock "$2" "$cache/apt"
	[ "$(stat -c %Y "$root/.packages" 2>/dev/null || :)" = "$before" ] || return 0

	say "asking the archive for ${roots[*]} of $suite, and what that depends on"
	private_apt "$2" "$suite" || { echo "$why"; return 1; }
	version=$(apt-cache "${apt[@]}" policy "${roots[0]}" | awk '/Candidate:/ && $2 != "(none)" { print $2 }')
	[ -n "$version" ] || { echo "$suite has no ${roots[0]}"; return 1; }
	say "downloading ${roots[0]} $version and its dependencies"
	rm -f "$apt_dir"/archives/*.deb
	if ! apt-get "${apt[@]}" install -y --download-only --no-install-recommends "${roots[@]}" \
		>"$apt_dir/download.log" 2>&1; then
		echo "downloading ${roots[*]} failed: $(grep -m1 '^E' "$apt_dir/download.log" || tail -n1 "$apt_dir/download.log")"
		return 1
	fi

	rm -rf "$root" "$root.part"
	mkdir -p "$root.part"/{usr/{bin,sbin,lib,lib64},proc,sys,dev,tmp,run,etc}
	ln -s usr/bin usr/sbin usr/lib usr/lib64 "$root.part/"
	for deb in "$apt_dir"/archives/*.deb; do
		if ! dpkg-deb -x "$deb" "$root.part"; then
			echo "${deb##*/} is broken: try again with REFRESH=1"
			return 1
		fi
		dpkg-deb -W "$deb" >>"$root.part/.versions"
		n=$((n + 1))
		[ $((SECONDS - last)) -lt 10 ] || { last=$SECONDS; say "  $n packages unpacked"; }
	done
	rm -rf "$root.part"/usr/share/{doc,man,locale,info} "$apt_dir"/archives/*.deb
	printf '%s\n' "$version" >"$root.part/.version"
	printf '%s\n' "${roots[*]}" >"$root.part/.packages"
	mv "$root.part" "$root" || { echo "cannot write to ${root%/*}"; return 1; }
	say "${roots[0]} $version and $((n - 1)) other packages of $suite in ${root#"$top/"}"
}

# What programs for another machine than this take from Debian: a busybox, and liburing.
# In the cache, as Debian packs it.
foreign_root=''
[ -z "$cross" ] || foreign_root=$cache/root-$arch

# need_foreign_root: have that, or one line
need_foreign_root() {
	[ -n "$foreign_root" ] || return 0
	[ ! -f "$foreign_root/.version" ] || [ "${REFRESH:-0}" = 1 ] || return 0
	need_space "$cache" 1
	why=$(foreign_unpack) || die "no busybox-static and liburing-dev for $arch: $why"
}

# The rest of it. Says on stdout what is wrong.
foreign_unpack() {
	local apt_arch before deb

	apt_arch=$(arch_field debian)
	before=$(stat -c %Y "$foreign_root/.version" 2>/dev/null || :)
	lock "root-$arch" "$cache/apt"
	[ "$(stat -c %Y "$foreign_root/.version" 2>/dev/null || :)" = "$before" ] || return 0

	say "asking the archive for busybox-static and liburing-dev of $apt_arch"
	# For a guest that lives for minutes, and not every mirror has updates for all.
	private_apt "root-$arch" own-release || { echo "$why"; return 1; }
	rm -rf "$foreign_root" "$foreign_root.part" "$apt_dir"/part
	mkdir -p "$foreign_root.part" "$apt_dir/part"
	if ! (cd "$apt_dir/part" && apt-get "${apt[@]}" download busybox-static liburing-dev) >"$apt_dir/download.log" 2>&1; then
		grep -m1 '^E' "$apt_dir/download.log" || tail -n1 "$apt_dir/download.log"
		return 1
	fi
	for deb in "$apt_dir"/part/*.deb; do
		dpkg-deb -x "$deb" "$foreign_root.part" || { echo "${deb##*/} is broken: try again"; return 1; }
	done
	(cd "$apt_dir/part" && printf '%s\n' *.deb) >"$foreign_root.part/.version"
	mv "$foreign_root.part" "$foreign_root" || { echo "cannot write to $cache"; return 1; }
	say "$(xargs <"$foreign_root/.version")"
}

# Can a guest of this machine have a virtio-gpu with 3D? (guest.py --virgl)
have_virgl() {
	local qemu

	qemu=$(arch_field qemu)
	"$qemu" -device virtio-gpu-gl-pci,help >/dev/null 2>&1 &&
		"$qemu" -display help 2>/dev/null | grep -x egl-headless >/dev/null &&
		ldconfig -p | grep libEGL_mesa >/dev/null
}
