// SPDX-License-Identifier: MIT
//
// The first word of the command line: one function for each, which reads the rest of it and does the work or
// calls a running mode (modes.hpp). argv[0] is that first word. They return the program's exit status.
#pragma once

namespace zks::app {

int socks5_command(int argc, const char* const* argv);
int vpn_command(int argc, const char* const* argv);
int p2p_client_command(int argc, const char* const* argv);
int exit_peer_command(int argc, const char* const* argv);
int invite_command(int argc, const char* const* argv);
int limit_command(int argc, const char* const* argv);
int revoke_command(int argc, const char* const* argv);
int invites_command(int argc, const char* const* argv);
int check_command(int argc, const char* const* argv);
int status_command(int argc, const char* const* argv);
int demo_command(int argc, const char* const* argv);

}  // namespace zks::app
