#!/bin/sh
# The guest's first program: mounts what is needed, then does the host's job (/job.sh) and powers off. Kernel messages
# go to the first serial port; what the job prints goes to the second one, so that neither garbles the other.
export PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin HOME=/ TERM=${TERM:-vt100}
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev 2>/dev/null
# No file systems of their own on /tmp and /run: the programs may have been built below either.
mkdir -p /dev/pts /dev/shm /tmp /run/netns /sys/fs/bpf
mount -t devpts devpts /dev/pts
mount -t bpf bpf /sys/fs/bpf 2>/dev/null
mount -t cgroup2 cgroup2 /sys/fs/cgroup 2>/dev/null
mount -t tracefs tracefs /sys/kernel/tracing 2>/dev/null
ln -sf /proc/self/fd /dev/fd
modprobe tun 2>/dev/null # the kernel asks for the others itself, but /dev/net/tun must be there before
/sbin/ip link set lo up
# A slow emulator sends in bursts; what a full queue drops before the receiving hook is not what tests are about.
echo 20000 >/proc/sys/net/core/netdev_max_backlog
ulimit -l unlimited
if ! stty -F /dev/ttyS1 raw -echo 2>/dev/null; then
  echo "knp-vm: this kernel has no second serial port (CONFIG_SERIAL_8250_NR_UARTS must be 2 or more)" >/dev/console
  poweroff -f
fi
. /job.sh
sync
poweroff -f
