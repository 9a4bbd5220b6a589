"""A discord.py bot in a guild of thousands: it asks for all members, for some by name, for some by id.

Usage: crowd_py.py REST_URL GATEWAY_URL TOKEN GUILD MEMBERS
Prints DONE for the test beside it.
"""

import asyncio
import sys

import discord
import yarl

rest, gateway, token, guild_id, members = sys.argv[1:6]
guild_id, members = int(guild_id), int(members)
discord.http.Route.BASE = rest
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway)

intents = discord.Intents.default()
intents.members = True
client = discord.Client(intents=intents, chunk_guilds_at_startup=False)


async def look_around():
    guild = client.get_guild(guild_id)
    assert guild.large and guild.member_count == members and not guild.chunked, guild.member_count
    found = await guild.chunk()
    assert len(found) == members and len({member.id for member in found}) == members, len(found)
    assert guild.chunked and len(guild.members) == members
    named = await guild.query_members("LOAD-0012", limit=100)
    assert sorted(member.name for member in named) == [f"load-0012{number:02}" for number in range(100)]
    assert await guild.query_members("nobody") == []
    some = [member.id for member in named[:50]]
    by_id = await guild.query_members(user_ids=some + [1, 2], cache=False)
    assert sorted(member.id for member in by_id) == sorted(some)


@client.event
async def on_ready():
    try:
        await asyncio.wait_for(look_around(), 30)
        print("DONE", flush=True)
    finally:
        await client.close()


client.run(token, log_handler=None)
