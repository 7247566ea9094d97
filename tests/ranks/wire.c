/* Joins network namespaces by wires of a set latency and bandwidth, where the kernel has no netem: a tun device for each, whose packets are handed to the
 * one that has their address once their time has come.
 *
 *   wire HOSTS LATENCY_US MBIT_S
 *
 * Makes devices farw<pid>.<0..>, says "ready", and runs until it is killed. Host h has the address 10.77.0.(h + 1). A wire sends one packet at a time at its
 * rate; what is on the way does not hinder what comes behind. */
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define HOSTS_MAX 16
#define PACKET_MAX 65536
#define QUEUE_MAX 4096 /* packets on the way to a host; more are dropped, as a switch does */

typedef struct packet {
    int64_t due_ns;
    int bytes;
    char *data;
} packet;

typedef struct port {
    int fd;
    int64_t free_ns; /* when its wire has sent what it was given */
    packet queue[QUEUE_MAX];
    int head, count;
} port;

static port ports[HOSTS_MAX];
static int host_count;
static int64_t latency_ns, ns_a_kbyte;

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void port_open(int h)
{
    struct ifreq ask;
    memset(&ask, 0, sizeof ask);
    ports[h].fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (ports[h].fd < 0) die("/dev/net/tun");
    ask.ifr_flags = IFF_TUN | IFF_NO_PI;
    (void)snprintf(ask.ifr_name, sizeof ask.ifr_name, "farw%d.%d", (int)getpid(), h);
    if (ioctl(ports[h].fd, TUNSETIFF, &ask) != 0) die("TUNSETIFF");
}

/* Takes what a host sends. */
static void take(port *from)
{
    static char data[PACKET_MAX];
    for (;;) {
        const int bytes = (int)read(from->fd, data, sizeof data);
        if (bytes <= 0) return;
        const int to = bytes >= 20 && data[0] >> 4 == 4 && data[16] == 10 && data[17] == 77 ? data[19] - 1 : -1;
        if (to < 0 || to >= host_count || ports[to].count == QUEUE_MAX) continue;
        const int64_t now = now_ns();
        if (from->free_ns < now) from->free_ns = now;
        from->free_ns += bytes * ns_a_kbyte / 1000;
        packet *p = &ports[to].queue[(ports[to].head + ports[to].count++) % QUEUE_MAX];
        p->due_ns = from->free_ns + latency_ns;
        p->bytes = bytes;
        p->data = malloc((size_t)bytes);
        if (p->data == NULL) die("malloc");
        memcpy(p->data, data, (size_t)bytes);
    }
}

/* Gives a host what is due; the time of the next packet. Packets of several senders may be out of order by due time by next to nothing. */
static int64_t give(port *to)
{
    while (to->count > 0) {
        packet *p = &to->queue[to->head];
        if (p->due_ns > now_ns()) return p->due_ns;
        (void)!write(to->fd, p->data, (size_t)p->bytes);
        free(p->data);
        to->head = (to->head + 1) % QUEUE_MAX;
        to->count--;
    }
    return INT64_MAX;
}

int main(int argc, char **argv)
{
    struct pollfd polled[HOSTS_MAX + 1];
    if (argc != 4) die("wire HOSTS LATENCY_US MBIT_S");
    host_count = atoi(argv[1]);
    latency_ns = 1000 * atoll(argv[2]);
    ns_a_kbyte = 8000000 / atoll(argv[3]);
    if (host_count < 2 || host_count > HOSTS_MAX) die("HOSTS");
    (void)prctl(PR_SET_PDEATHSIG, 15);
    (void)prctl(PR_SET_TIMERSLACK, 1000);
    for (int h = 0; h < host_count; h++) port_open(h);
    const int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);
    (void)printf("ready\n");
    (void)fflush(stdout);
    for (;;) {
        int64_t next = INT64_MAX;
        for (int h = 0; h < host_count; h++) {
            const int64_t due = give(&ports[h]);
            if (due < next) next = due;
            polled[h] = (struct pollfd){ ports[h].fd, POLLIN, 0 };
        }
        const struct itimerspec when = { .it_value = { next / 1000000000, next % 1000000000 } };
        if (next != INT64_MAX) (void)timerfd_settime(timer, TFD_TIMER_ABSTIME, &when, NULL);
        polled[host_count] = (struct pollfd){ timer, POLLIN, 0 };
        (void)poll(polled, (nfds_t)host_count + 1, next == INT64_MAX ? 1000 : -1);
        for (int h = 0; h < host_count; h++)
            if (polled[h].revents & POLLIN) take(&ports[h]);
    }
}
