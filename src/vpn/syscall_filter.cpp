// SPDX-License-Identifier: MIT
#include "vpn/syscall_filter.hpp"

#include <cerrno>
#include <cstring>
#include <iterator>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <fcntl.h>
#include <linux/netlink.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace zks::vpn {
namespace {

using Conditions = std::vector<scmp_arg_cmp>;  // all of them

// Calls that act on what the process has, and say only what it may know: of sockets and the loop, threads,
// memory and time; of files that may be read.
constexpr std::string_view kAllowed =
    "accept accept4 bind close close_range connect dup dup2 dup3 epoll_create1 epoll_ctl epoll_pwait "
    "epoll_pwait2 epoll_wait eventfd2 fcntl getpeername getsockname getsockopt pipe2 poll ppoll pread64 "
    "preadv pselect6 read readv recvfrom recvmmsg recvmsg select sendmmsg sendmsg sendto shutdown write "
    "writev "
    "exit exit_group futex getcpu getegid geteuid getgid getpid getppid getresgid getresuid getrlimit "
    "getrusage gettid getuid membarrier restart_syscall rseq rt_sigaction rt_sigprocmask rt_sigreturn "
    "rt_sigtimedwait sched_getaffinity sched_yield set_robust_list sigaltstack sysinfo uname "
    "brk getrandom madvise mremap munmap "
    "clock_getres clock_gettime clock_nanosleep gettimeofday nanosleep time timerfd_create "
    "timerfd_gettime timerfd_settime times "
    "access faccessat faccessat2 fstat getcwd getdents64 lseek lstat newfstatat readlink readlinkat "
    "stat statx";

// Another program, another process, more rights, or much of the kernel that nothing here is for: who asks for
// these is not our code, and is ended before the next try.
constexpr std::string_view kDeadly =
    "execve execveat fork vfork ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp "
    "bpf perf_event_open userfaultfd keyctl add_key request_key "
    "mount umount2 move_mount open_tree fsopen fsmount mount_setattr pivot_root chroot unshare setns "
    "open_by_handle_at init_module finit_module delete_module kexec_load kexec_file_load reboot swapon "
    "swapoff "
    "iopl ioperm modify_ldt "
    "setuid setgid setreuid setregid setresuid setresgid setgroups setfsuid setfsgid capset";

// The 32 bits of an int, as the kernel reads it, whatever the register has above them.
scmp_arg_cmp is(unsigned argument, std::uint32_t value, std::uint32_t of = 0xffff'ffff) {
  return {argument, SCMP_CMP_MASKED_EQ, of, value};
}

scmp_arg_cmp at_most(unsigned argument, std::uint32_t value) {
  return {argument, SCMP_CMP_LE, value, 0};
}

std::vector<std::string> words(std::string_view text) {
  std::istringstream in{std::string(text)};
  return {std::istream_iterator<std::string>(in), {}};
}

class Filter {
 public:
  Filter() : context_(seccomp_init(SCMP_ACT_ERRNO(ENOSYS)), &seccomp_release) {
    if (!context_) failure_ = -ENOMEM;
  }
  void allow(const std::string& name, const Conditions& conditions = {}) {
    add(SCMP_ACT_ALLOW, name, conditions);
  }
  void end_at(const std::string& name, const Conditions& conditions = {}) {
    add(SCMP_ACT_KILL_PROCESS, name, conditions);
  }
  int load() {
    set(SCMP_FLTATR_CTL_TSYNC, 1);
    set(SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);  // calls of 32-bit programs
    if (failure_ == 0) failure_ = seccomp_load(context_.get());
    return failure_;
  }

 private:
  // Not every machine has every call, nor does every libseccomp know it.
  void add(std::uint32_t action, const std::string& name, const Conditions& conditions) {
    const int number = seccomp_syscall_resolve_name(name.c_str());
    if (failure_ != 0 || number == __NR_SCMP_ERROR) return;
    failure_ = seccomp_rule_add_array(context_.get(), action, number,
                                      static_cast<unsigned>(conditions.size()), conditions.data());
  }
  void set(scmp_filter_attr attribute, std::uint32_t value) {
    if (failure_ == 0) failure_ = seccomp_attr_set(context_.get(), attribute, value);
  }

  std::unique_ptr<void, decltype(&seccomp_release)> context_;
  int failure_ = 0;
};

void allow_reading_files(Filter& filter) {
  constexpr std::uint32_t kWriting = O_ACCMODE | O_CREAT | O_TRUNC;
  filter.allow("open", {is(1, O_RDONLY, kWriting)});
  filter.allow("openat", {is(2, O_RDONLY, kWriting)});
}

// A thread, and no process. clone3 hides its flags in memory: as ENOSYS it makes the C library take clone.
void allow_threads(Filter& filter) {
  constexpr std::uint32_t kNamespaces = CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC |
                                        CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
  filter.allow("clone", {is(0, CLONE_THREAD, CLONE_THREAD | kNamespaces)});
  filter.end_at("clone", {is(0, 0, CLONE_THREAD)});
  filter.allow("prctl", {is(0, PR_SET_NAME)});
  filter.allow("tgkill", {is(0, static_cast<std::uint32_t>(::getpid()))});  // abort()
  filter.allow("prlimit64", {{2, SCMP_CMP_EQ, 0, 0}});                      // which only asks
}

// No memory is both written and run; where no library is loaded any more, none becomes code.
void allow_memory(Filter& filter, bool libraries) {
  constexpr std::uint32_t kCode = PROT_WRITE | PROT_EXEC;
  filter.allow("mmap", {is(2, 0, kCode)});
  filter.allow("mmap", {is(2, PROT_WRITE, kCode)});
  if (libraries) filter.allow("mmap", {is(2, PROT_EXEC, kCode)});
  filter.allow("mprotect", {is(2, 0, PROT_EXEC)});
}

// What a TUN device or a socket could be told besides (who it belongs to, filters of code) is left out.
void allow_device_options(Filter& filter) {
  for (const std::uint32_t request : {FIONBIO, FIONREAD, SIOCOUTQ, TCGETS, SIOCGIFNAME, SIOCGIFINDEX}) {
    filter.allow("ioctl", {is(1, request)});
  }
  // Above are SO_ATTACH_FILTER and its kin, and TCP_ULP.
  filter.allow("setsockopt", {is(1, SOL_SOCKET), at_most(2, SO_BINDTODEVICE)});
  filter.allow("setsockopt", {is(1, IPPROTO_TCP), at_most(2, TCP_FASTOPEN_CONNECT)});
  filter.allow("setsockopt", {is(1, IPPROTO_IPV6), is(2, IPV6_V6ONLY)});
  filter.allow("setsockopt", {is(1, SOL_NETLINK), is(2, NETLINK_GET_STRICT_CHK)});  // base/netlink.cpp
}

void allow_sockets(Filter& filter, Sockets sockets) {
  constexpr std::uint32_t kKind = 0xf;  // without SOCK_CLOEXEC and SOCK_NONBLOCK
  filter.allow("socket", {is(0, AF_NETLINK), is(2, NETLINK_ROUTE)});
  if (sockets == Sockets::kGiven) return;
  filter.allow("listen");
  filter.allow("socketpair", {is(0, AF_UNIX)});
  for (const std::uint32_t family : {AF_INET, AF_INET6}) {
    for (const std::uint32_t protocol : {0, static_cast<int>(IPPROTO_TCP)}) {
      filter.allow("socket", {is(0, family), is(1, SOCK_STREAM, kKind), is(2, protocol)});
    }
    for (const std::uint32_t protocol : {0, static_cast<int>(IPPROTO_UDP)}) {
      filter.allow("socket", {is(0, family), is(1, SOCK_DGRAM, kKind), is(2, protocol)});
    }
  }
  filter.allow("socket", {is(0, AF_UNIX), is(1, SOCK_STREAM, kKind)});
  filter.allow("socket", {is(0, AF_UNIX), is(1, SOCK_DGRAM, kKind)});
}

}  // namespace

Result<> filter_system_calls(Sockets sockets) {
#ifdef ZKS_SANITIZED
  (void)sockets;
  return {};
#endif
  Filter filter;
  for (const std::string& name : words(kAllowed)) filter.allow(name);
  for (const std::string& name : words(kDeadly)) filter.end_at(name);
  allow_reading_files(filter);
  allow_threads(filter);
  allow_memory(filter, sockets == Sockets::kOwn);
  allow_device_options(filter);
  allow_sockets(filter, sockets);
  const int failure = filter.load();
  if (failure == 0) return {};
  return make_error(ErrorKind::kUsage,
                    std::string("this kernel takes no filter of system calls (") + std::strerror(-failure) +
                        "), and what parses the network's packets does not run without: use a kernel with "
                        "CONFIG_SECCOMP_FILTER, in a container one that lets seccomp(2) through",
                    -failure);
}

}  // namespace zks::vpn
