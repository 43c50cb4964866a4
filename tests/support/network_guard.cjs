// Keeps a Node process from reaching anything but loopback, and ends it when its standard input does.
// Loaded before the program with `node --require`.

"use strict";

const net = require("node:net");

const LOOPBACK = /^(127\.|localhost$|::1$|::ffff:127\.)/;
const connect = net.Socket.prototype.connect;

net.Socket.prototype.connect = function (...given) {
  const [first] = Array.isArray(given[0]) ? given[0] : given;
  const options = first !== null && typeof first === "object" ? first : { port: first, host: given[1] };
  const host = typeof options.host === "string" ? options.host : "localhost";
  if (!options.path && !LOOPBACK.test(host)) {
    throw new Error(`The test suite may reach nothing but loopback, and this was ${host}.`);
  }
  return connect.apply(this, given);
};

process.stdin.on("end", () => process.exit(0)).resume();
