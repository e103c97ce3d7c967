// SPDX-License-Identifier: MIT
//
// What is refused, one call a process; and that what the loop, threads and the C library do goes on.
#include "vpn/syscall_filter.hpp"

#include <gtest/gtest.h>

// With a sanitizer there is no filter (syscall_filter.hpp).
#ifndef ZKS_SANITIZED

#include <cerrno>
#include <csignal>
#include <functional>
#include <stdexcept>
#include <thread>
#include <vector>

#include <arpa/inet.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <linux/filter.h>
#include <linux/if_tun.h>
#include <linux/netlink.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fd.hpp"

namespace zks::vpn {
namespace {

constexpr int kNoFilter = 250;

struct Try {
  const char* what;
  std::function<long()> call;  // negative, with errno, when it was refused
};

void filtered(Sockets sockets) {
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !filter_system_calls(sockets)) ::_exit(kNoFilter);
}

// What became of the process that did it: an errno, 0, or a signal's number below zero.
int outcome(const std::function<int()>& in_child) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(in_child());
  int status = 0;
  EXPECT_EQ(::waitpid(pid, &status, 0), pid);
  return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

int outcome_of(Sockets sockets, const Try& it) {
  return outcome([&] {
    filtered(sockets);
    errno = 0;
    return it.call() >= 0 ? 0 : errno;
  });
}

void expect(const std::vector<Try>& tries, int expected, std::vector<Sockets> in) {
  for (const Try& it : tries) {
    for (const Sockets sockets : in) {
      EXPECT_EQ(outcome_of(sockets, it), expected)
          << it.what << (sockets == Sockets::kGiven ? ", given sockets" : ", own sockets");
    }
  }
}

const std::vector<Sockets> kBoth = {Sockets::kGiven, Sockets::kOwn};

long socket_of(int family, int type, int protocol = 0) {
  return ::socket(family, type, protocol);
}
long map(int protection) {
  return ::mmap(nullptr, 4096, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED ? -1 : 0;
}

TEST(SyscallFilter, WhoWantsAnotherProgramOrProcessIsEnded) {
  const char* const argv[] = {"/bin/true", nullptr};
  expect({{"execve", [&] { return ::execve(argv[0], const_cast<char* const*>(argv), nullptr); }},
          {"execveat", [&] { return ::syscall(SYS_execveat, AT_FDCWD, argv[0], argv, nullptr, 0); }},
          {"fork", [] { return static_cast<long>(::fork()); }},
          {"vfork", [] { return ::syscall(SYS_clone, CLONE_VFORK | SIGCHLD, 0, 0, 0, 0); }},
          {"ptrace", [] { return ::ptrace(PTRACE_TRACEME, 0, nullptr, nullptr); }},
          {"another's memory", [] { return ::syscall(SYS_process_vm_readv, ::getppid(), 0, 0, 0, 0, 0); }},
          {"another's descriptors", [] { return ::syscall(SYS_pidfd_getfd, 0, 0, 0); }},
          {"bpf", [] { return ::syscall(SYS_bpf, 0, 0, 0); }},
          {"perf events", [] { return ::syscall(SYS_perf_event_open, 0, 0, 0, 0, 0); }},
          {"userfaultfd", [] { return ::syscall(SYS_userfaultfd, 0); }},
          {"keys", [] { return ::syscall(SYS_keyctl, 0, 0, 0, 0, 0); }},
          {"mount", [] { return ::mount("none", "/tmp", "tmpfs", 0, nullptr); }},
          {"a tree of mounts", [] { return ::syscall(SYS_open_tree, AT_FDCWD, "/", 0); }},
          {"user namespace", [] { return ::unshare(CLONE_NEWUSER); }},
          {"setns", [] { return ::setns(0, 0); }},
          {"chroot", [] { return ::chroot("/"); }},
          {"a module", [] { return ::syscall(SYS_finit_module, 0, "", 0); }},
          {"another user", [] { return ::syscall(SYS_setresuid, 0, 0, 0); }},
          {"rights", [] { return ::syscall(SYS_capset, 0, 0); }}},
         -SIGSYS, kBoth);
}

TEST(SyscallFilter, TheRestOfTheKernelIsNotThere) {
  expect({{"write a file", [] { return ::open("/dev/null", O_WRONLY); }},
          {"read and write", [] { return ::open("/dev/null", O_RDWR | O_CLOEXEC); }},
          {"make a file", [] { return ::open("/tmp/zks-never", O_RDONLY | O_CREAT, 0600); }},
          {"empty a file", [] { return ::open("/tmp/zks-never", O_RDONLY | O_TRUNC); }},
          {"a file without a name", [] { return ::open("/tmp", O_TMPFILE | O_RDWR, 0600); }},
          {"openat2", [] { return ::syscall(SYS_openat2, AT_FDCWD, "/etc/hosts", 0, 0); }},
          {"unlink", [] { return ::unlink("/tmp/zks-never"); }},
          {"mkdir", [] { return ::mkdir("/tmp/zks-never", 0700); }},
          {"rename", [] { return ::rename("/tmp/zks-never", "/tmp/zks-never-either"); }},
          {"chmod", [] { return ::chmod("/tmp/zks-never", 0777); }},
          {"a file in memory", [] { return ::memfd_create("x", 0); }},
          {"io_uring", [] { return ::syscall(SYS_io_uring_setup, 1, 0); }},
          {"packets", [] { return socket_of(AF_PACKET, SOCK_DGRAM); }},
          {"raw sockets", [] { return socket_of(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6); }},
          {"ping sockets", [] { return socket_of(AF_INET, SOCK_DGRAM, IPPROTO_ICMP); }},
          {"nftables", [] { return socket_of(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER); }},
          {"the kernel's ciphers", [] { return socket_of(AF_ALG, SOCK_SEQPACKET); }},
          {"vsock", [] { return socket_of(AF_VSOCK, SOCK_STREAM); }},
          {"another's end", [] { return ::kill(::getppid(), 0); }},
          {"another's thread", [] { return ::syscall(SYS_tgkill, ::getppid(), ::getppid(), 0); }},
          {"code that is written", [] { return map(PROT_READ | PROT_WRITE | PROT_EXEC); }},
          {"data that is run",
           [] {
             void* page = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
             return ::mprotect(page, 4096, PROT_READ | PROT_EXEC);
           }},
          {"a limit",
           [] {
             const rlimit64 none{0, 0};
             return ::syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &none, nullptr);
           }},
          {"core dumps", [] { return ::prctl(PR_SET_DUMPABLE, 1); }},
          {"a device's owner", [] { return ::ioctl(0, TUNSETOWNER, 0); }},
          {"a device that stays", [] { return ::ioctl(0, TUNSETPERSIST, 1); }},
          {"a filter of packets", [] { return ::setsockopt(0, SOL_SOCKET, SO_ATTACH_FILTER, nullptr, 0); }},
          {"another layer", [] { return ::setsockopt(0, IPPROTO_TCP, TCP_ULP, "tls", 3); }}},
         ENOSYS, kBoth);
}

TEST(SyscallFilter, OnlyWhoHasADoorMakesSockets) {
  const std::vector<Try> tries = {
      {"TCP", [] { return socket_of(AF_INET, SOCK_STREAM | SOCK_CLOEXEC); }},
      {"TCP by name", [] { return socket_of(AF_INET6, SOCK_STREAM, IPPROTO_TCP); }},
      {"UDP", [] { return socket_of(AF_INET6, SOCK_DGRAM | SOCK_NONBLOCK); }},
      {"unix", [] { return socket_of(AF_UNIX, SOCK_STREAM); }},
      {"code of a library", [] { return map(PROT_READ | PROT_EXEC); }}};
  expect(tries, ENOSYS, {Sockets::kGiven});
  expect(tries, 0, {Sockets::kOwn});
}

#ifdef __x86_64__
// Another table of calls would be another way around the list.
TEST(SyscallFilter, CallsOfOtherProcessorsAreNoWayAround) {
  constexpr long kX32 = 0x4000'0000;
  EXPECT_EQ(outcome_of(Sockets::kGiven, {"x32", [] { return ::syscall(kX32 | SYS_getpid); }}), -SIGSYS);
  const int as_32_bits = outcome_of(Sockets::kGiven, {"int 0x80", [] {
                                                        long number = 20;  // getpid
                                                        asm volatile("int $0x80" : "+a"(number)::"memory");
                                                        return number;
                                                      }});
  EXPECT_TRUE(as_32_bits == -SIGSYS || as_32_bits == -SIGSEGV) << as_32_bits;  // a kernel without them
}
#endif

// A thread from before could do it for the others.
TEST(SyscallFilter, HoldsForThreadsThatRunAlready) {
  EXPECT_EQ(outcome([] {
              int go[2];
              if (::pipe(go) != 0) return kNoFilter;
              int result = 0;
              std::thread before([&] {
                char byte = 0;
                if (::read(go[0], &byte, 1) == 1) result = ::open("/dev/null", O_WRONLY) < 0 ? errno : 0;
              });
              filtered(Sockets::kGiven);
              if (::write(go[1], "x", 1) != 1) return kNoFilter;
              before.join();
              return result;
            }),
            ENOSYS);
}

TEST(SyscallFilter, LeavesWhatTheLoopAndTheLibraryNeed) {
  for (const Sockets sockets : kBoth) {
    EXPECT_EQ(outcome([sockets] {
                int pair[2];
                if (::socketpair(AF_UNIX, SOCK_STREAM, 0, pair) != 0) return 1;
                filtered(sockets);
                int step = 2;
                const auto works = [&step](bool it) { return it ? (++step, true) : false; };
                bool threw = false;
                try {
                  throw std::runtime_error("unwound");
                } catch (const std::exception&) {
                  threw = true;
                }
                std::size_t heard = 0;
                std::thread([&] { heard = std::vector<char>(64'000'000, 'x').size(); }).join();
                ifaddrs* list = nullptr;
                epoll_event event{.events = EPOLLIN, .data = {}};
                char byte = 0;
                const Fd loop(::epoll_create1(EPOLL_CLOEXEC));
                const Fd hosts(::open("/etc/passwd", O_RDONLY | O_CLOEXEC));
                const bool all = works(threw) && works(heard == 64'000'000) &&
                                 works(::getifaddrs(&list) == 0) &&
                                 works(hosts && ::read(hosts.get(), &byte, 1) == 1) &&
                                 works(::epoll_ctl(loop.get(), EPOLL_CTL_ADD, pair[0], &event) == 0) &&
                                 works(::write(pair[1], "x", 1) == 1) &&
                                 works(::epoll_wait(loop.get(), &event, 1, 1000) == 1) &&
                                 works(::prctl(PR_SET_NAME, "worker") == 0);
                return all ? 0 : step;
              }),
              0);
  }
  EXPECT_EQ(outcome([] {
              filtered(Sockets::kOwn);
              addrinfo* found = nullptr;
              return ::getaddrinfo("localhost", "80", nullptr, &found) == 0 && found != nullptr ? 0 : 1;
            }),
            0);
  EXPECT_EQ(outcome([] {
              filtered(Sockets::kGiven);
              std::abort();
              return 0;
            }),
            -SIGABRT);
}

}  // namespace
}  // namespace zks::vpn

#endif
