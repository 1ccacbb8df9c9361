# SPDX-License-Identifier: GPL-2.0
# shellcheck shell=bash disable=SC2034,SC2154
#
# The part of harness-test.sh that is about the bundle: sourced there, with its $base,
# $tmp, $tools, ok(), not_ok() and refuses(). It boots the bundle as its README says.

log=$tmp
mkdir -p "$tmp/mine" "$tmp/bundle"
touch "$tmp/mine/thesis"
refuses "a directory in the way of a bundle" "mine is in the way, and no bundle" m bundle BASE="$base" BUNDLE="$tmp/mine"
refuses "a file in the way of a bundle" "thesis is in the way" m bundle BASE="$base" BUNDLE="$tmp/mine/thesis"
refuses "a bundle that has no such variant" "has no VARIANT 'fast'" m bundle BASE="$base" VARIANT=fast

# Twice: an older bundle is in nobody's way.
bundle() { BUNDLE=$tmp/bundle "$tools/bundle/bundle.sh" "$base" rework; }
check "a bundle" bundle
check "a bundle once more" bundle

# The command of its README, and one test instead of all
boots() {
	local command

	command=$(sed -n '/^    qemu/,/-append/p' "$tmp/bundle/README.md")
	# LAVA's console has \r as well.
	(cd "$tmp/bundle" && timeout 300 bash -c "${command%\'} TESTS=poll_close'" </dev/null >"$tmp/console")
	tr -d '\r' <"$tmp/console" | sed -n '/^KTAP version/,$p' >"$tmp/ktap"
	[ "$(sed -n 2p "$tmp/ktap")" = 1..1 ] && grep -x 'ok 1 poll_close' "$tmp/ktap" &&
		grep -x 'guest: exit 0' "$tmp/ktap"
}
check "it boots as its README says" boots

# What the two descriptions for a laboratory name is there, and both read KTAP the same
# way. LAVA's schema checks them, where there is one: Debian 13 does not have it.
described() {
	(cd "$tmp/bundle" && PYTHONDONTWRITEBYTECODE=1 /usr/bin/python3 - <<-'END'
		import os, re, subprocess, yaml
		with open("lava.yaml") as job, open("dma-buf-poll.yaml") as definition:
		    job, definition = yaml.safe_load(job), yaml.safe_load(definition)
		try:
		    from lava_common import schemas
		    from lava_common.schemas.test import testdef
		    schemas.validate(job)
		    testdef.validate(definition)
		except ImportError:
		    print("no lava_common here")
		for image in job["actions"][0]["deploy"]["images"].values():
		    assert os.path.exists(image["url"].replace("file://", "")), image
		os.makedirs("stub/dir", exist_ok=True)
		ktap = "KTAP version 1\n1..4\n  ok 1 a.b\nok 1 a\nnot ok 2 - b # what\n      ok 3 deep\nok 3 c # SKIP none\nguest: exit 1\n"
		for name, text in ("dir/run", f"printf '{ktap}'"), ("lava-test-case", "#!/bin/sh\necho $1 $3"):
		    with open("stub/" + name, "w", opener=lambda path, flags: os.open(path, flags, 0o755)) as out:
		        out.write(text + "\n")
		env = {"DIR": "stub/dir", "BUNDLE_URL": "", "TESTS": "", "PATH": "stub:" + os.environ["PATH"]}
		said = [subprocess.run(["sh", "-c", step], env=env, capture_output=True, text=True, check=True).stdout
		        for step in definition["run"]["steps"]][-1]
		assert said == "a.b pass\na pass\nb fail\nc skip\n", said
		monitor = job["actions"][2]["test"]["monitors"][0]
		found = re.finditer(monitor["pattern"], ktap.replace("\n", "\r\n"), re.S)
		found = [f"{m['test_case_id']} {monitor['fixupdict'][m['result']]}\n" for m in found]
		assert "".join(found) == said, found
		assert re.search(monitor["start"], ktap) and re.search(monitor["end"], ktap)
	END
	)
}
check "its descriptions for LAVA and others" described
! grep -q "^no lava_common" "$log/its-descriptions-for-LAVA-and-others.log" ||
	skip "the schema of LAVA" "no lava-common here"
