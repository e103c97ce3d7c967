// SPDX-License-Identifier: MIT
//
// The one translation unit that holds the bodies of Asio and Beast (BOOST_*_SEPARATE_COMPILATION); every
// other file sees only their declarations.
#include <boost/asio/impl/src.hpp>
#include <boost/asio/ssl/impl/src.hpp>
#include <boost/beast/src.hpp>
