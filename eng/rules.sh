#!/usr/bin/env bash
# How many of the rules and attacks of eng/rules.tsv have a test that names them, [Trait("Rule", "TK-2")] or [Trait("Attack", "C1")].
# Fails when a test names one that isn't listed. --missing: lists those without a test.
set -euo pipefail
cd "$(dirname "$0")/.."
case ${1:-} in
    "" | --missing) ;;
    *) sed -n '2,3s/^# *//p' "$0" >&2; exit 2 ;;
esac
tags=$(grep -rhoE --include='*.cs' --exclude-dir=bin --exclude-dir=obj 'Trait\("(Rule|Attack)", "[^"]+"' tests | sed -E 's/Trait\("(Rule|Attack)", "(.*)"/\L\1\t\U\2/' | sort | uniq -c | awk '{ print $2 "\t" $3 "\t" $1 }')
awk -F'\t' -v missing="${1:-}" '
    NR == FNR { tests[$1 FS $2] = $3; next }
    FNR == 1 { next }
    {
        id = $1 FS toupper($4)
        section = $1 FS $2 FS $3
        if (!(section in all)) order[++sections] = section
        all[section]++
        listed[id] = 1
        if ($5 == "M") must[section]++
        if (id in tests) { covered[section]++; if ($5 == "M") met[section]++; count[section] += tests[id] }
        else without[section] = without[section] " " $4 ($5 == "M" ? "" : "(" $5 ")")
    }
    END {
        printf "%-62s %10s %10s %8s\n", "", "must", "all", "tags"
        for (i = 1; i <= sections; i++) {
            split(order[i], part, FS)
            if (part[1] != kind) { kind = part[1]; print kind == "rule" ? "Protocol" : "Attacks" }
            printf "  %3s %-56s %3d of %3d %3d of %3d %8d\n", (kind == "rule" ? "§" : "") part[2], part[3], met[order[i]], must[order[i]], covered[order[i]], all[order[i]], count[order[i]]
            m[kind] += met[order[i]]; n[kind] += must[order[i]]; c[kind] += covered[order[i]]; a[kind] += all[order[i]]; t[kind] += count[order[i]]
            if (missing && without[order[i]]) print "      without a test:" without[order[i]]
        }
        for (kind in a) printf "%-62s %3d of %3d %3d of %3d %8d\n", kind == "rule" ? "All rules" : "All attacks", m[kind], n[kind], c[kind], a[kind], t[kind]
        for (id in tests) if (!(id in listed)) { sub(FS, " ", id); print "A test names an unknown " id > "/dev/stderr"; bad = 1 }
        exit bad
    }' <(printf '%s\n' "$tags") eng/rules.tsv
