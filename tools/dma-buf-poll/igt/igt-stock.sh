#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
#
# igt-stock.sh BASE [TEST]...: the tests IGT has already, on both kernels
#
# Runs Debian sid's prebuilt igt-gpu-tools-tests in a guest, first with the
# stock kernel and then with the series, and prints what differs: nothing
# should. The packages, and what they depend on down to the C library, are
# unpacked into build/igt-sid, a root of their own that the guest mounts
# read-only over 9p. Ends with N passed, N failed, N skipped; a subtest that
# says the same on both has passed, if it says anything.
#
# Takes the kernels stock and rework; make igt-stock calls it.

. "${BASH_SOURCE%/*}/../lib.sh"

base=${1:?usage: igt-stock.sh BASE [TEST]...}
shift
check_base "$base"
plain_kernels igt-stock
args_end

# All that runs on vgem, virtio-gpu or no device at all, and uses fences,
# buffers or files of DRM in any way.
default=(vgem_basic vgem_slow dmabuf dmabuf_sync_file sw_sync syncobj_basic
	syncobj_wait syncobj_timeline syncobj_eventfd core_auth core_getclient
	core_getstats core_getversion core_setmaster core_setmaster_vs_auth
	dumb_buffer drm_read kms_addfb_basic kms_getfb kms_prop_blob kms_prime
	prime_vgem prime_self_import)

package=igt-gpu-tools-tests
sysroot=$top/build/igt-sid
out=$top/build/$base
log=$out/log
mkdir -p "$log"

suite_root sid igt-sid "$sysroot" 1 "$package" || die "$why"
installed=$sysroot/usr/libexec/igt-gpu-tools
[ -d "$installed" ] || die "$package has no tests in /usr/libexec/igt-gpu-tools any more"

# The names that are asked for must exist; of our own list what there is.
tests=()
for test; do
	[ -x "$installed/$test" ] || die "no test $test in $package $(cat "$sysroot/.version")"
	tests+=("$test")
done
if [ $# = 0 ]; then
	for test in "${default[@]}"; do
		if [ -x "$installed/$test" ]; then
			tests+=("$test")
		else
			say "$package $(cat "$sysroot/.version") has no $test"
		fi
	done
fi

# run VARIANT TEST[@SUBTEST]...: "test subtest result" a line, in VARIANT's table
run() {
	local variant=$1 table=$log/igt-stock-$1.tsv status=0

	shift
	"$vm" --kernel "$(variant_obj "$base" "$variant")/arch/x86/boot/bzImage" --out "$log/igt-stock-$variant" \
		--boot-timeout 120 --timeout "${TIMEOUT:-2400}" \
		--append "rcupdate.rcu_cpu_stall_timeout=120" \
		--qemu=-fsdev --qemu "local,id=root,path=$sysroot,security_model=none,readonly=on" \
		--qemu=-device --qemu virtio-9p-pci,fsdev=root,mount_tag=root \
		--job "$tools/igt/igt-stock-job.sh" --set TESTS="$*" \
		--set TEST_TIMEOUT="${TEST_TIMEOUT:-400}" --set IGT_FORCE_DRIVER="$IGT_FORCE_DRIVER" |
		while IFS= read -r line; do
			case $line in igt-run:*) say "  $base $variant:${line#igt-run:}" ;; esac
		done || status=$?
	[ $status = 0 ] ||
		not_ok "$base $variant: the guest did not end as it should, see above" </dev/null
	[ -f "$table" ] || : >"$table"
	# Whatever has succeeded once can be done. A test that ends before its
	# subtests is a line as well.
	awk -v OFS='\t' '
	function result(name, what) {
		name = test "\t" name
		if (all[name] != "SUCCESS") all[name] = what
		n++
	}
	FILENAME == ARGV[1] { split($0, field, "\t"); all[field[1] "\t" field[2]] = field[3]; next }
	{ gsub(/\033\[[0-9;]*m/, ""); gsub(/\r/, "") }
	/^igt-run: / { test = $2; n = 0 }
	/^Subtest / { name = $2; sub(/:$/, "", name); result(name, $3) }
	/^(SUCCESS|SKIP|FAIL)/ && !n { result("-", $1) }
	/^igt-end: / {
		if ($2 == 137) result("-", "KILLED")
		else if (!n) result("-", "status " $2)
		test = ""
	}
	END {
		if (test) result("-", "the guest died")
		for (name in all) print name, all[name]
	}' "$table" "$log/igt-stock-$variant.results" | LC_ALL=C sort >"$table.new"
	mv "$table.new" "$table"
	return $status
}

# IGT takes vgem and virtio-gpu only when it is told to.
IGT_FORCE_DRIVER=${IGT_FORCE_DRIVER:-virtio_gpu}

died=0
rm -f "$log"/igt-stock-{stock,rework}.tsv
for variant in stock rework; do
	say "running ${#tests[@]} tests of $package on $base $variant"
	run "$variant" "${tests[@]}" || died=$((died + 1))
done

differing() {
	LC_ALL=C diff "$log/igt-stock-stock.tsv" "$log/igt-stock-rework.tsv" |
		awk '/^[<>]/ { print $2 ($3 == "-" ? "" : "@" $3) }' | sort -u
}

# What differs may be a subtest that measures time, on a loaded machine: what
# fails on one kernel, five times, and on the other does not, is a difference.
for attempt in 1 2 3 4; do
	mapfile -t again < <(differing)
	if [ ${#again[@]} = 0 ] || [ $died != 0 ]; then
		break
	fi
	say "different results, attempt $((attempt + 1)): ${again[*]}"
	for variant in stock rework; do
		run "$variant" "${again[@]}" || died=$((died + 1))
	done
done

echo "# $package $(cat "$sysroot/.version"), stock against series on $base:"
LC_ALL=C diff -U0 --label stock --label series \
	"$log/igt-stock-stock.tsv" "$log/igt-stock-rework.tsv" || :

rows() { awk -F'\t' '{ print $1 " " $2 "\t" $3 }' "$log/igt-stock-$1.tsv" | LC_ALL=C sort -t $'\t' -k1,1; }

while IFS=$'\t' read -r name stock series; do
	if [ "$stock" != "$series" ]; then
		not_ok "$name: $stock on stock, $series on the series" </dev/null
	elif [[ $stock = SKIP* ]]; then
		skip "$name" "on both"
	else
		ok "$name: $stock on both"
	fi
done < <(LC_ALL=C join -t $'\t' -a1 -a2 -e missing -o 0,1.2,2.2 <(rows stock) <(rows rework))
verdict && [ "$passed" -gt 0 ]
