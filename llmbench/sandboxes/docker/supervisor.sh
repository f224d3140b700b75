# Runs one submission after another in a warm container. It runs as root, and its only capabilities
# are to become another user and to kill that user's processes.
#
# Arguments: the runner's folder, the container's cgroup. For each submission stdin has a line
#   FIRST MARK CANARY UID SIZE CPU WALL PIDS [NAME=VALUE…]
# and an archive of SIZE bytes. Limits: seconds of processor time, seconds of wall time, tasks.
# Tests run as UID. Before the last line all its processes and files are removed. On stderr it writes
#   FIRST start UPTIME CPU     before the tests
#   MARK end UPTIME CPU        after the tests; the log is between these two lines
#   MARK done CODE OOM STATE   exit code, processes killed for memory so far, clean or soiled
# and on stdout the report, and after it
#   MARK report
# Both marks are secret. A line may follow bytes of the tests that do not end in a newline.

runner=$1
cgroup=$2
cd /work || exit 125

# Tests get an opening of this pipe of their own, so that no flag they set on it counts here or for
# others; its mode lets them open it once more, as /dev/stderr. gVisor refuses the change of mode.
log=/proc/self/fd/2
chmod 622 "$log" || :

clock() {
    read -r up _ </proc/uptime
    cpu_used=
    for file in "$cgroup/cpu.stat" "$cgroup/cpuacct/cpuacct.usage"; do
        if [ -r "$file" ]; then read -r cpu_used <"$file"; break; fi
    done
    printf '%s %s %s %s\n' "$1" "$2" "$up" "$cpu_used" >&2
}

killed_for_memory() {
    killed=0
    for file in "$cgroup/memory.events" "$cgroup/memory/memory.oom_control"; do
        [ -r "$file" ] || continue
        while read -r name value; do
            if [ "$name" = oom_kill ]; then killed=$value; fi
        done <"$file"
    done
}

# Runs the tests: they are killed first when memory ends, and have limits of their own.
run() {
    printf '%s\n' "$canary" | (
        exec 2>>"$log"
        echo 1000 >/proc/self/oom_score_adj
        exec prlimit --nproc="$pids" --cpu="$cpu" $as_user \
            env -i PATH="$PATH" HOME=/tmp TMPDIR=/tmp $options \
            timeout -s KILL "$wall" sh "$runner/run.sh"
    )
    code=$?
}

alive() { grep -qs "^Uid:[[:blank:]]*$uid[[:blank:]]" /proc/[0-9]*/status; }

writable='/work /tmp /dev/shm /dev/mqueue'
remove() { $as_user find $writable -mindepth 1 -delete </dev/null >/dev/null 2>&1; }

# Kills all processes of the user and removes all its files.
sweep() {
    tries=0
    while alive; do
        tries=$((tries + 1))
        [ "$tries" -lt 100 ] || return 1
        $as_user sh -c 'kill -s KILL -- -1' </dev/null >/dev/null 2>&1
        alive && sleep 0.01
    done
    remove || {
        $as_user find $writable -mindepth 1 -type d -exec chmod u+rwx {} \; </dev/null >/dev/null 2>&1
        remove
    } || return 1
    for kind in shm sem msg; do
        [ -r "/proc/sysvipc/$kind" ] || continue
        # A heading, and a line for each object that outlives its process.
        { read -r _; ! read -r _; } <"/proc/sysvipc/$kind" || return 1
    done
}

if [ -f "$runner/warm.sh" ]; then
    mkfifo /run/jobs /run/codes || exit 125
    sh "$runner/warm.sh" </run/jobs 3>/run/codes &
    exec 3>/run/jobs 4</run/codes
    read -r _ <&4 || exit 125
    run() {
        printf '%s\n' "$canary $uid $cpu $wall $pids $options" >&3
        read -r code <&4 || exit 125
    }
fi

while read -r first mark canary uid size cpu wall pids options; do
    as_user="setpriv --reuid $uid --regid $uid --clear-groups"
    head -c "$size" | $as_user tar -xof - || exit 125
    clock "$first" start
    run
    clock "$mark" end
    if sweep; then state=clean; else state=soiled; fi
    killed_for_memory
    printf '%s done %s %s %s\n' "$mark" "$code" "$killed" "$state" >&2
    printf '%s report\n' "$mark"
done
