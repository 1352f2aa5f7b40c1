using Pulse.Worker.Hooks;

namespace Pulse.Tests.Hooks;

public sealed class HookSignatureTests
{
    const string Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    static readonly DateTimeOffset At = DateTimeOffset.FromUnixTimeSeconds(1614265330);

    // Of the test suites of the Standard Webhooks libraries.
    [Fact]
    public void It_is_the_signature_of_the_specification() => Assert.Equal(
        "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        HookSignature.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", At, """{"test": 2432232314}"""u8, [HookSignature.ReadSecret(Secret)!]));

    [Fact]
    public void Each_secret_signs_while_it_is_exchanged()
    {
        byte[] other = [.. Enumerable.Repeat((byte)7, 24)];

        var both = HookSignature.Sign("id", At, "body"u8, [HookSignature.ReadSecret(Secret)!, other]).Split(' ');

        Assert.Equal([HookSignature.Sign("id", At, "body"u8, [HookSignature.ReadSecret(Secret)!]), HookSignature.Sign("id", At, "body"u8, [other])], both);
    }

    [Theory]
    [InlineData(23, false)]
    [InlineData(24, true)]
    [InlineData(64, true)]
    [InlineData(65, false)]
    public void A_secret_has_24_to_64_bytes(int length, bool good) =>
        Assert.Equal(good ? length : null, HookSignature.ReadSecret("whsec_" + Convert.ToBase64String(new byte[length]))?.Length);

    [Theory]
    [InlineData("")]
    [InlineData("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    [InlineData("whsec_")]
    [InlineData("whsec_not base64 at all, is it?")]
    [InlineData("WHSEC_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")]
    public void What_is_no_secret_is_none(string text) => Assert.Null(HookSignature.ReadSecret(text));
}
