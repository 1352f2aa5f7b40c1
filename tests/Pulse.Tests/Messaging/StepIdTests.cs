using FsCheck;
using FsCheck.Fluent;
using Pulse.Messaging.Sagas;

namespace Pulse.Tests.Messaging;

/// <summary>What is repeated must carry the id of the first time.</summary>
public sealed class StepIdTests
{
    [Fact]
    public void A_step_of_a_saga_has_one_id() => Holds((saga, step) => StepId.Of(saga, step) == StepId.Of(saga, string.Concat(step)));

    [Fact]
    public void Another_step_has_another_id() => Holds((saga, step) => StepId.Of(saga, step) != StepId.Of(saga, step + "'"));

    [Fact]
    public void Another_saga_has_another_id() => Holds((saga, step) => StepId.Of(saga, step) != StepId.Of(Guid.CreateVersion7(), step));

    [Fact]
    public void Another_saga_of_the_same_millisecond_has_another_id() => Holds((saga, step) =>
    {
        var bytes = saga.ToByteArray(bigEndian: true);
        bytes[15] ^= 1;
        return StepId.Of(saga, step) != StepId.Of(new Guid(bytes, bigEndian: true), step);
    });

    [Fact]
    public void An_id_is_of_version_7_and_of_the_saga_s_time() => Holds((saga, step) =>
    {
        var id = StepId.Of(saga, step);
        return id.Version == 7 && (id.Variant & 0xC) == 0x8
            && id.ToByteArray(bigEndian: true).AsSpan(0, 6).SequenceEqual(saga.ToByteArray(bigEndian: true).AsSpan(0, 6));
    });

    /// <summary>The tenants of signups from before a change of build have these ids: it must go on making them.</summary>
    [Fact]
    public void The_ids_are_frozen() =>
        Assert.Equal(Guid.Parse("019aa5f0-0000-74e5-8b58-004f0d123048"), StepId.Of(Guid.Parse("019aa5f0-0000-7000-8000-000000000001"), "organization"));

    static void Holds(Func<Guid, string, bool> property) =>
        Prop.ForAll<Guid, NonNull<string>>((saga, step) => property(saga, step.Get)).QuickCheckThrowOnFailure();
}
