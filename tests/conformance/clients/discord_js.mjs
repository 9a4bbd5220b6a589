/**
 * One day of a discord.js bot: log in, see the guild, post, receive, edit, delete, be cut off, resume, look around.
 *
 * Usage: discord_js.mjs SERVER TOKEN GUILD CHANNEL ANN, with SERVER like http://127.0.0.1:PORT
 * Prints one word a line for the test beside it: READY, CUT (cut me off now, then have ann write), PROMOTE, DONE.
 * The library is unmodified; its REST address is an option, and it asks the server for the gateway's.
 * GUILDHALL_NODE_MODULES names the folder that it is installed in.
 */

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";

const modules = createRequire(path.join(path.resolve(process.env.GUILDHALL_NODE_MODULES ?? "node_modules"), "-"));
const discord = modules("discord.js");

const [server, token, guildId, channelId, annId] = process.argv.slice(2);
const MISSED = 40;

const { GatewayIntentBits, PermissionFlagsBits } = discord;
const intents = Object.values(GatewayIntentBits).filter((bit) => typeof bit === "number");
const client = new discord.Client({
  intents,
  partials: [discord.Partials.Message],
  rest: { api: `${server}/api` },
});

const heard = [];
let waiting = null;
for (const name of ["messageCreate", "messageUpdate", "messageDelete", "messageDeleteBulk", "shardResume", "channelCreate",
  "channelUpdate", "channelDelete", "roleCreate", "roleUpdate", "roleDelete", "guildMemberUpdate", "inviteCreate",
  "inviteDelete", "guildUpdate", "typingStart", "presenceUpdate", "channelPinsUpdate"]) {
  client.on(name, (...what) => {
    heard.push([name, what]);
    waiting?.();
  });
}
client.on("error", (error) => console.error("error", error));
client.on("warn", (warning) => console.error("warn", warning));

async function next() {
  const until = Date.now() + 30_000;
  while (heard.length === 0) {
    assert(Date.now() < until, "an event comes in time");
    await new Promise((resolve) => {
      waiting = resolve;
      setTimeout(resolve, 1_000);
    });
  }
  return heard.shift();
}

async function expect(name) {
  for (;;) {
    const [event, what] = await next();
    if (event === name) return what;
    assert(["typingStart", "guildMemberUpdate", "guildUpdate"].includes(event), `${name} was expected, not ${event}`);
  }
}

async function day() {
  const guild = client.guilds.cache.get(guildId);
  const channel = client.channels.cache.get(channelId);
  assert(guild?.available && channel);
  assert.equal(guild.ownerId, annId);
  assert.equal(guild.memberCount, 2);
  assert.equal(guild.members.me.id, client.user.id);
  assert(guild.roles.everyone);
  const everyone = await guild.members.fetch();
  assert.deepEqual([...everyone.keys()].sort(), [annId, client.user.id].sort());

  // Ann was here before, and idle; now she is not to be disturbed. She sees what this bot shows.
  const idle = guild.presences.cache.get(annId);
  assert.deepEqual([idle?.status, idle.activities[0].name, idle.clientStatus], ["idle", "gardening", { web: "idle" }]);
  assert.equal(guild.members.cache.get(annId).presence.status, "idle");
  console.log("LOOK");
  const [before, after] = await expect("presenceUpdate");
  assert.deepEqual([before.status, after.status, after.userId, after.activities], ["idle", "dnd", annId, []]);
  client.user.setPresence({ status: "idle", activities: [{ name: "chess" }] });
  console.log("SHOWN");
  assert.equal((await expect("presenceUpdate"))[1].status, "offline");
  console.log("READY");

  const [first] = await expect("messageCreate");
  assert.equal(first.content, "from ann");
  assert.equal(first.author.id, annId);
  assert.equal(first.member.id, annId);
  const posted = await channel.send({ content: "from bob", embeds: [{ title: "a title", description: "a description" }] });
  assert.equal(posted.embeds[0].title, "a title");
  assert.equal((await expect("messageCreate"))[0].id, posted.id);
  await posted.edit("from bob, edited");
  const [, edited] = await expect("messageUpdate");
  assert.equal(edited.content, "from bob, edited");
  const reply = await posted.reply("a reply");
  assert.equal((await expect("messageCreate"))[0].reference.messageId, posted.id);
  assert.equal((await reply.fetchReference()).id, posted.id);
  await posted.delete();
  assert.equal((await expect("messageDelete"))[0].id, posted.id);
  await assert.rejects(channel.messages.fetch({ message: posted.id, force: true }), { code: 10008 });
  await assert.rejects(channel.send("x".repeat(2_001)), { code: 50035, status: 400 });

  console.log("CUT");
  const seen = [];
  for (let resumed = false; seen.length < MISSED || !resumed;) {
    const [event, what] = await next();
    if (event === "messageCreate") seen.push(what[0].content);
    else if (event === "shardResume") resumed = true;
    else assert.fail(`${event} while resuming`);
  }
  const missed = Array.from({ length: MISSED }, (_, number) => `missed ${number}`);
  assert.deepEqual(seen, missed);
  const history = await channel.messages.fetch({ limit: MISSED, cache: false });
  assert.deepEqual([...history.values()].map((message) => message.content), missed.reverse());

  // Ann makes the bot an administrator.
  console.log("PROMOTE");
  await expect("roleCreate");
  for (;;) {
    const [event, [, after]] = await next();
    if (event === "guildMemberUpdate" && after.id === client.user.id) break;
  }
  assert(guild.members.me.permissions.has(PermissionFlagsBits.Administrator));
  const made = await guild.channels.create({ name: "plans", topic: "what next", rateLimitPerUser: 5 });
  assert.equal((await expect("channelCreate"))[0].id, made.id);
  assert.deepEqual([made.topic, made.rateLimitPerUser], ["what next", 5]);
  await made.permissionOverwrites.edit(guild.roles.everyone, { ViewChannel: false });
  const [, closed] = await expect("channelUpdate");
  assert(closed.permissionOverwrites.cache.get(guildId).deny.has(PermissionFlagsBits.ViewChannel));
  await made.edit({ name: "secret-plans" });
  assert.equal((await expect("channelUpdate"))[1].name, "secret-plans");
  const role = await guild.roles.create({ name: "crew", colors: { primaryColor: 0x1188ff }, hoist: true });
  const [created] = await expect("roleCreate");
  assert.deepEqual([created.id, created.hoist, created.colors.primaryColor], [role.id, true, 0x1188ff]);
  const ann = await guild.members.fetch({ user: annId, force: true });
  await ann.roles.add(role);
  assert((await guild.members.fetch({ user: annId, force: true })).roles.cache.has(role.id));
  await ann.roles.remove(role);
  await role.edit({ name: "sailors" });
  assert.equal((await expect("roleUpdate"))[1].name, "sailors");
  await role.delete();
  await expect("roleDelete");
  const invite = await made.createInvite({ maxAge: 600, maxUses: 3 });
  assert.equal((await expect("inviteCreate"))[0].code, invite.code);
  assert.equal((await client.fetchInvite(invite.code)).guild.id, guildId);
  assert.deepEqual([...(await guild.invites.fetch()).keys()], [invite.code]);
  await invite.delete();
  await expect("inviteDelete");
  await channel.sendTyping();
  await guild.members.me.setNickname("Bobby");
  assert.equal((await guild.members.fetch({ user: client.user.id, force: true })).nickname, "Bobby");
  assert.deepEqual([...(await guild.members.list({ limit: 10 })).keys()].sort(), [annId, client.user.id].sort());
  assert.deepEqual([...(await guild.members.fetch({ query: "ann", limit: 5 })).keys()], [annId]);
  const pinned = await channel.send("to be pinned");
  assert.equal((await expect("messageCreate"))[0].id, pinned.id);
  await pinned.pin("keep it");
  assert.equal((await expect("channelPinsUpdate"))[0].id, channel.id);
  assert.equal((await expect("messageUpdate"))[1].pinned, true);
  const [notice] = await expect("messageCreate");
  assert.deepEqual([notice.type, notice.reference.messageId], [discord.MessageType.ChannelPinnedMessage, pinned.id]);
  const pins = await channel.messages.fetchPins({ cache: false });
  assert.deepEqual([pins.hasMore, pins.items.map((pin) => pin.message.id)], [false, [pinned.id]]);
  await pinned.unpin();
  await expect("channelPinsUpdate");
  assert.equal((await expect("messageUpdate"))[1].pinned, false);
  const doomed = [];
  for (let number = 0; number < 3; number += 1) doomed.push(await channel.send(`doomed ${number}`));
  for (const message of doomed) assert.equal((await expect("messageCreate"))[0].id, message.id);
  await channel.bulkDelete(doomed);
  assert.equal((await expect("messageDeleteBulk"))[0].size, 3);
  await made.delete();
  await expect("channelDelete");
  await guild.edit({ name: "Town hall, renamed" });
  assert.equal((await client.guilds.fetch({ guild: guildId, force: true })).name, "Town hall, renamed");
  console.log("DONE");
}

const ready = new Promise((resolve, reject) => {
  client.once("clientReady", resolve);
  setTimeout(() => reject(new Error("no READY in time")), 30_000).unref();
});
await client.login(token);
await ready;
await day();
await client.destroy();
