# shellcheck shell=sh
# Ends a PostgreSQL server and removes its directory when the process that started it has gone.
# Called with the directory to remove and the data directory. Standard input is a pipe from that process: each line is
# the server's process id, 0 for none; its end is the sign to act. It ends by itself, also after kill -9.
root=$1
data=$2

trap '' HUP INT QUIT TERM PIPE
exec 2>/dev/null

pid=0
while read -r line; do pid=$line; done

children() {
	if [ -r /proc/self/stat ]; then
		for stat in /proc/[0-9]*/stat; do
			read -r line <"$stat" || continue
			id=${line%% *}
			# The name stands in parentheses and may hold anything; state and parent follow.
			# shellcheck disable=SC2086
			set -- ${line##*) }
			[ "$2" = "$pid" ] && echo "$id"
		done
	else
		ps -A -o pid= -o ppid= | while read -r id parent; do
			[ "$parent" = "$pid" ] && echo "$id"
		done
	fi
}

# The small System V segment by which PostgreSQL guards a data directory outlives a server that was killed.
segment=
if [ -r "$data/postmaster.pid" ]; then
	segment=$(sed -n '7s/.* //p' "$data/postmaster.pid")
fi

if [ "$pid" -gt 1 ]; then
	all=$(children)
	# shellcheck disable=SC2086
	kill -CONT "$pid" $all
	kill -QUIT "$pid"
	tries=0
	while kill -0 "$pid" && [ "$tries" -lt 60 ]; do
		sleep 0.05
		tries=$((tries + 1))
	done
	if kill -0 "$pid"; then
		# shellcheck disable=SC2046,SC2086
		kill -KILL "$pid" $all $(children)
	fi
fi

[ -n "$segment" ] && ipcrm -m "$segment"

# A process that has just been killed may still finish a file.
tries=0
while ! rm -rf "$root" && [ "$tries" -lt 60 ]; do
	sleep 0.05
	tries=$((tries + 1))
done
[ ! -e "$root" ]
