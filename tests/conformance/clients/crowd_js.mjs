/**
 * A discord.js bot in a guild of thousands: it asks for all members, for some by name, for some by id.
 *
 * Usage: crowd_js.mjs SERVER TOKEN GUILD MEMBERS. Prints DONE for the test beside it.
 * GUILDHALL_NODE_MODULES names the folder that the library is installed in.
 */

import assert from "node:assert/strict";
import { createRequire } from "node:module";
import path from "node:path";

const modules = createRequire(path.join(path.resolve(process.env.GUILDHALL_NODE_MODULES ?? "node_modules"), "-"));
const { Client, GatewayIntentBits } = modules("discord.js");

const [server, token, guildId, members] = process.argv.slice(2);
const intents = [GatewayIntentBits.Guilds, GatewayIntentBits.GuildMembers];
const client = new Client({ intents, rest: { api: `${server}/api` } });

client.once("clientReady", async () => {
  const guild = client.guilds.cache.get(guildId);
  assert.equal(guild.memberCount, Number(members));
  const all = await guild.members.fetch({ time: 30_000 });
  assert.equal(all.size, Number(members));
  const named = await guild.members.fetch({ query: "Load-0012", limit: 100 });
  assert.deepEqual([...named.values()].map((member) => member.user.username).sort(),
    Array.from({ length: 100 }, (_, number) => `load-0012${String(number).padStart(2, "0")}`));
  const some = [...named.keys()].slice(0, 50);
  const byId = await guild.members.fetch({ user: [...some, "1"], force: true });
  assert.deepEqual([...byId.keys()].sort(), some.sort());
  console.log("DONE");
  await client.destroy();
});

await client.login(token);
