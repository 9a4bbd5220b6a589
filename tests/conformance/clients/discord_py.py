"""One day of a discord.py bot: log in, see the guild, post, receive, edit, delete, be cut off, resume, look around.

Usage: discord_py.py REST_URL GATEWAY_URL TOKEN GUILD CHANNEL ANN
Asks for zstd-stream, as it does by itself where `zstandard` is installed; with GUILDHALL_COMPRESS=zlib-stream it is kept from
finding that, and asks for zlib-stream.
Prints one word a line for the test beside it: READY, CUT (cut me off now, then have ann write), DONE.
The library is unmodified; only its two addresses are set, in the places that it has for them.
"""

import asyncio
import os
import sys

if os.environ.get("GUILDHALL_COMPRESS") == "zlib-stream":
    sys.modules["zstandard"] = sys.modules["compression.zstd"] = None

import discord
import yarl

rest, gateway, token, guild_id, channel_id, ann_id = sys.argv[1:7]
guild_id, channel_id, ann_id = int(guild_id), int(channel_id), int(ann_id)
MISSED = 40

discord.http.Route.BASE = rest
discord.gateway.DiscordWebSocket.DEFAULT_GATEWAY = yarl.URL(gateway)

intents = discord.Intents.all()
client = discord.Client(intents=intents)
heard: asyncio.Queue = asyncio.Queue()


def say(word):
    print(word, flush=True)


for name in ("message", "message_edit", "raw_message_delete", "resumed", "guild_channel_create",
             "guild_channel_update", "guild_channel_delete", "guild_role_create", "guild_role_update",
             "guild_role_delete", "member_update", "member_join", "member_remove", "guild_update",
             "invite_create", "invite_delete", "typing", "bulk_message_delete", "presence_update",
             "guild_channel_pins_update"):
    def listen(name):
        async def heard_it(*arguments):
            await heard.put((name, arguments))
        heard_it.__name__ = "on_" + name
        client.event(heard_it)
    listen(name)


async def expect(name):
    while True:
        event, arguments = await asyncio.wait_for(heard.get(), 20)
        if event == name:
            return arguments
        if event in ("typing", "member_update", "guild_update"):
            continue
        raise AssertionError(f"{name} was expected, not {event} {arguments}")


async def day():
    wanted = os.environ.get("GUILDHALL_COMPRESS", "zstd-stream")
    assert client.ws._decompressor.COMPRESSION_TYPE == wanted
    guild = client.get_guild(guild_id)
    channel = client.get_channel(channel_id)
    assert guild is not None and channel is not None
    assert guild.me.id == client.user.id and guild.owner_id == ann_id
    assert guild.member_count == 2, guild.member_count
    assert not guild.unavailable and guild.get_member(ann_id) is not None, "chunked members"

    # Ann was here before, and idle; now she is not to be disturbed. She sees what this bot shows.
    ann = guild.get_member(ann_id)
    assert ann.status is discord.Status.idle and ann.activity.name == "gardening", (ann.status, ann.activity)
    assert ann.web_status is discord.Status.idle and ann.desktop_status is discord.Status.offline
    say("LOOK")
    before, after = await expect("presence_update")
    assert (before.status, after.status) == (discord.Status.idle, discord.Status.dnd), (before.status, after.status)
    assert after.id == ann_id and after.activity is None
    await client.change_presence(status=discord.Status.idle, activity=discord.Game("chess"))
    say("SHOWN")
    _, after = await expect("presence_update")
    assert after.id == ann_id and after.status is discord.Status.offline
    say("READY")

    (message,) = await expect("message")
    assert (message.content, message.author.id) == ("from ann", ann_id)
    posted = await channel.send("from bob", embed=discord.Embed(title="a title", description="a description"))
    assert posted.author == client.user and posted.embeds[0].title == "a title"
    (message,) = await expect("message")
    assert message.id == posted.id and message.content == "from bob"
    await posted.edit(content="from bob, edited")
    before, after = await expect("message_edit")
    assert (before.content, after.content) == ("from bob", "from bob, edited")
    reply = await posted.reply("a reply")
    (message,) = await expect("message")
    assert message.id == reply.id and message.reference.message_id == posted.id
    await posted.delete()
    (deleted,) = await expect("raw_message_delete")
    assert deleted.message_id == posted.id
    try:
        await channel.fetch_message(posted.id)
        raise AssertionError("it is gone")
    except discord.NotFound as error:
        assert error.code == 10008
    try:
        await channel.send("x" * 2001)
        raise AssertionError("too long")
    except discord.HTTPException as error:
        assert error.status == 400 and error.code == 50035, error

    say("CUT")
    seen, resumed = [], False
    while len(seen) < MISSED or not resumed:
        event, arguments = await asyncio.wait_for(heard.get(), 30)
        if event == "message":
            seen.append(arguments[0].content)
        elif event == "resumed":
            resumed = True
        else:
            raise AssertionError(event)
    assert seen == [f"missed {number}" for number in range(MISSED)], seen
    history = [message.content async for message in channel.history(limit=MISSED, oldest_first=False)]
    assert history == list(reversed(seen)), history
    first = [message async for message in channel.history(limit=2, oldest_first=True)]
    assert first[0].content == "from ann"

    # Ann makes the bot an administrator.
    say("PROMOTE")
    await expect("guild_role_create")
    while True:
        event, arguments = await asyncio.wait_for(heard.get(), 20)
        if event == "member_update" and arguments[1].id == client.user.id:
            break
    assert guild.me.guild_permissions.administrator
    made = await guild.create_text_channel("plans", topic="what next", slowmode_delay=5)
    (created,) = await expect("guild_channel_create")
    assert created.id == made.id and created.topic == "what next" and created.slowmode_delay == 5
    await made.set_permissions(guild.default_role, view_channel=False)
    _, changed = await expect("guild_channel_update")
    assert changed.overwrites_for(guild.default_role).view_channel is False
    await made.edit(name="secret plans")
    _, changed = await expect("guild_channel_update")
    assert changed.name == "secret-plans" or changed.name == "secret plans"
    role = await guild.create_role(name="crew", colour=discord.Colour(0x1188FF), hoist=True)
    (created,) = await expect("guild_role_create")
    assert created.id == role.id and created.hoist
    ann = guild.get_member(ann_id)
    await ann.add_roles(role)
    ann = await guild.fetch_member(ann_id)
    assert role.id in [other.id for other in ann.roles]
    await ann.remove_roles(role)
    await role.edit(name="sailors")
    _, changed = await expect("guild_role_update")
    assert changed.name == "sailors"
    await role.delete()
    await expect("guild_role_delete")
    invite = await made.create_invite(max_age=600, max_uses=3)
    await expect("invite_create")
    assert (await client.fetch_invite(invite.code)).guild.id == guild_id
    assert [other.code for other in await guild.invites()] == [invite.code]
    await invite.delete()
    await expect("invite_delete")
    async with channel.typing():
        pass
    await guild.me.edit(nick="Bobby")
    assert (await guild.fetch_member(client.user.id)).nick == "Bobby"
    members = [member.id async for member in guild.fetch_members(limit=None)]
    assert sorted(members) == sorted([ann_id, client.user.id])
    assert [member.id for member in await guild.query_members("ann")] == [ann_id]
    pinned = await channel.send("to be pinned")
    await expect("message")
    await pinned.pin(reason="keep it")
    where, last = await expect("guild_channel_pins_update")
    assert where.id == channel.id and last is not None, (where, last)
    _, changed = await expect("message_edit")
    assert changed.id == pinned.id and changed.pinned
    (notice,) = await expect("message")
    assert notice.type is discord.MessageType.pins_add and notice.reference.message_id == pinned.id
    assert [message.id async for message in channel.pins()] == [pinned.id]
    await pinned.unpin()
    _, last = await expect("guild_channel_pins_update")
    assert last is None, last
    _, changed = await expect("message_edit")
    assert not changed.pinned and [message async for message in channel.pins()] == []
    doomed = [await channel.send(f"doomed {number}") for number in range(3)]
    for _ in doomed:
        await expect("message")
    await channel.delete_messages(doomed)
    await expect("bulk_message_delete")
    await made.delete()
    await expect("guild_channel_delete")
    await guild.edit(name="Town hall, renamed")
    assert (await client.fetch_guild(guild_id)).name == "Town hall, renamed"
    say("DONE")


async def main():
    started = asyncio.Event()

    @client.event
    async def on_ready():
        started.set()

    async with client:
        running = asyncio.create_task(client.start(token))
        waiting = asyncio.create_task(started.wait())
        await asyncio.wait({running, waiting}, return_when=asyncio.FIRST_COMPLETED, timeout=30)
        assert started.is_set(), running.exception() if running.done() else "no READY"
        await day()
        await client.close()
        await running


asyncio.run(main())
