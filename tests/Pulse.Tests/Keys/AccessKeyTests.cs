using System.Security.Cryptography;
using FsCheck;
using FsCheck.Fluent;
using Pulse.Contracts.Keys;

namespace Pulse.Tests.Keys;

public sealed class AccessKeyTests
{
    [Fact]
    public void A_new_key_reads_back_as_its_id_and_the_hash_of_its_secret()
    {
        var (key, id, hash) = AccessKey.Create();

        Assert.Equal($"pulse_{id}_", key[..^64]);
        Assert.True(AccessKey.TryRead(key, out var readId, out var readHash));
        Assert.Equal((id, true), (readId, AccessKey.IsId(id)));
        Assert.Equal(hash, readHash);
        Assert.Equal(hash, SHA256.HashData(Convert.FromHexString(key[^64..])));
        Assert.NotEqual(key, AccessKey.Create().Key);
    }

    [Fact]
    public void A_key_with_any_one_character_changed_is_another_key_or_none()
    {
        var (key, id, hash) = AccessKey.Create();
        var changes = from at in Gen.Choose(0, key.Length - 1) from letter in ArbMap.Default.GeneratorFor<char>() where letter != key[at] select (at, letter);

        Prop.ForAll(changes.ToArbitrary(), change =>
        {
            var other = key[..change.at] + change.letter + key[(change.at + 1)..];
            return !AccessKey.TryRead(other, out var otherId, out var otherHash) || otherId != id || !otherHash.SequenceEqual(hash);
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void What_is_no_key_is_not_read()
    {
        var key = AccessKey.Create().Key;
        foreach (var text in (string[])["", "pulse_", key + "0", key[..^1], key.ToUpperInvariant(), " " + key, key.Replace("pulse_", "pulse-", StringComparison.Ordinal)])
            Assert.False(AccessKey.TryRead(text, out _, out _), text);
    }
}
