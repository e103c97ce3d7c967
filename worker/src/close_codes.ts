// SPDX-License-Identifier: MIT
//
// The close codes of PROTOCOL.md, and which of them the other half of a pair is told. Pure.

export const DONE = 1000;
export const GOING_AWAY = 1001;
export const POLICY = 1008;
export const TOO_LONG = 1009;
export const TRY_AGAIN = 1013;
export const OTHER = 4000;
export const FORBIDDEN = 4403;
export const NO_EXIT = 4404;
export const REPLACED = 4409;
export const PAIR_GONE = 4410;
export const BEHIND = 4413;

// What the other half is told when a peer closed with `code`. A peer's own codes pass only where they mean something
// to the other peer.
export function passedOn(code: number): number {
  return code === DONE || code === GOING_AWAY || code === FORBIDDEN ? code : OTHER;
}

// What a peer's close is answered with: its own code, unless that is one that must not be sent (RFC 6455, section
// 7.4.1), as the codes for "no code" and "no close" are.
export function answerTo(code: number): number {
  const sendable = code === 1000 || (code >= 1001 && code <= 1003) || (code >= 1007 && code <= 1011);
  return sendable || (code >= 3000 && code <= 4999) ? code : DONE;
}
