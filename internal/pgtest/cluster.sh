# shellcheck shell=sh
# Ends a cluster of Patroni and removes its directory when the process that started it has gone. Called with that directory. Standard
# input is a pipe from that process: each line is the id of a process that was started, each in a session of its own, or with a minus of one
# that has ended; its end is the sign to act. It ends by itself, also after kill -9.
root=$1

trap '' HUP INT QUIT TERM PIPE
exec 2>/dev/null

pids=" "
while read -r pid; do
	case $pid in
	-*) pids="${pids%% "${pid#-}" *} ${pids#* "${pid#-}" }" ;;
	*) pids="$pids$pid " ;;
	esac
done

for pid in $pids; do
	kill -KILL "-$pid"
done
# Patroni starts PostgreSQL in a session of its own.
for file in "$root"/*/data/postmaster.pid; do
	[ -r "$file" ] || continue
	pid=$(sed -n 1p "$file")
	segment=$(sed -n '7s/.* //p' "$file")
	kill -QUIT "$pid"
	tries=0
	while kill -0 "$pid" && [ "$tries" -lt 60 ]; do
		sleep 0.05
		tries=$((tries + 1))
	done
	kill -KILL "$pid"
	[ -n "$segment" ] && ipcrm -m "$segment"
done

tries=0
while ! rm -rf "$root" && [ "$tries" -lt 60 ]; do
	sleep 0.05
	tries=$((tries + 1))
done
[ ! -e "$root" ]
