using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Pulse.Ingress.Stripe;

namespace Pulse.Tests.Stripe;

public sealed class StripeSignatureTests
{
    static readonly DateTimeOffset Now = DateTimeOffset.FromUnixTimeSeconds(1_760_000_000);
    static readonly byte[] Body = "{\"id\":\"evt_1\",\"type\":\"ping\"}"u8.ToArray();
    static readonly string Good = Delivery.Sign("whsec_1", "1760000000", Body);
    static readonly string Zeros = new('0', 64);

    [Fact]
    public void A_signature_of_any_secret_is_good()
    {
        foreach (var secret in (string[])["whsec_1", "whsec_2", "whsec_3"])
            Assert.Null(Check($"t=1760000000,v1={Delivery.Sign(secret, "1760000000", Body)}", "whsec_1", "whsec_2", "whsec_3"));

        Assert.Equal(SignatureFailure.Mismatch, Check($"t=1760000000,v1={Delivery.Sign("whsec_4", "1760000000", Body)}", "whsec_1", "whsec_2", "whsec_3"));
    }

    [Fact]
    public void A_known_answer_is_the_same()
    {
        // By openssl: printf '1760000000.{"id":"evt_1","type":"ping"}' | openssl dgst -sha256 -hmac whsec_1
        Assert.Null(Check("t=1760000000,v1=17db0c631d0cfe917715e6849eaa9684cc96282d0e8ef167c7ee5a575c191aa1", "whsec_1"));
    }

    [Theory]
    [InlineData(null, "Missing")]
    [InlineData("", "Missing")]
    [InlineData("v1=GOOD", "Malformed")]
    [InlineData("t=1760000000", "Malformed")]
    [InlineData("t=,v1=GOOD", "Malformed")]
    [InlineData("t=1760000000,t=1760000000,v1=GOOD", "Malformed")]
    [InlineData("t=1760000000,v1=GOOD,t=1", "Malformed")]
    [InlineData("t=-1760000000,v1=GOOD", "Malformed")]
    [InlineData("t=+1760000000,v1=GOOD", "Malformed")]
    [InlineData("t= 1760000000,v1=GOOD", "Malformed")]
    [InlineData("t=1760000000.0,v1=GOOD", "Malformed")]
    [InlineData("t=99999999999999999999,v1=GOOD", "Malformed")]
    [InlineData("nonsense", "Malformed")]
    [InlineData("t=1760000000,v1=GOOD,", "Malformed")]
    [InlineData("t=1760000000,v0=GOOD", "Malformed")]
    [InlineData("t=1760000000,v1=", "Mismatch")]
    [InlineData("t=1760000000,v1=ZEROS", "Mismatch")]
    [InlineData("t=1760000000,v1=GOODff", "Mismatch")]
    [InlineData("t=1760000001,v1=GOOD", "Mismatch")]
    [InlineData("t=01760000000,v1=GOOD", "Mismatch")]
    [InlineData("t=9223372036854775807,v1=GOOD", "Mismatch")]
    [InlineData("t=1760000000,v1=GOOD", null)]
    [InlineData("t=1760000000, v1=GOOD", null)]
    [InlineData("v1=GOOD,t=1760000000", null)]
    [InlineData("t=1760000000,v0=x,v2=,v1=ZEROS,v1=nothex,v1=GOOD", null)]
    public void A_header_is_as_Stripe_writes_it(string? header, string? failure) =>
        Assert.Equal(failure, Check(header?.Replace("GOOD", Good, StringComparison.Ordinal).Replace("ZEROS", Zeros, StringComparison.Ordinal), "whsec_1")?.ToString());

    [Fact]
    public void Sixteen_signatures_are_looked_at_and_seventeen_are_too_many()
    {
        Assert.Null(Check($"t=1760000000,{string.Concat(Enumerable.Repeat($"v1={Zeros},", 15))}v1={Good}", "whsec_1"));
        Assert.Equal(SignatureFailure.Malformed, Check($"t=1760000000,{string.Concat(Enumerable.Repeat($"v1={Zeros},", 16))}v1={Good}", "whsec_1"));
    }

    [Theory]
    [InlineData(-300, null)]
    [InlineData(300, null)]
    [InlineData(-301, "Stale")]
    [InlineData(301, "Stale")]
    [InlineData(3600, "Stale")]
    [InlineData(-1_760_000_000, "Stale")]
    public void Its_time_is_within_300_seconds_of_ours_on_both_sides(int off, string? failure)
    {
        var time = $"{1_760_000_000 + off}";
        Assert.Equal(failure, Check($"t={time},v1={Delivery.Sign("whsec_1", time, Body)}", "whsec_1")?.ToString());
    }

    [Fact]
    public void A_time_that_no_calendar_has_is_stale_even_when_signed() =>
        Assert.Equal(SignatureFailure.Stale, Check($"t={long.MaxValue},v1={Delivery.Sign("whsec_1", $"{long.MaxValue}", Body)}", "whsec_1"));

    [Fact]
    public void One_other_byte_in_the_body_is_a_mismatch() =>
        Prop.ForAll(Gen.Choose(0, Body.Length - 1).Zip(Gen.Choose(1, 255)).ToArbitrary(), change =>
        {
            var body = (byte[])Body.Clone();
            body[change.Item1] ^= (byte)change.Item2;
            return StripeSignature.Check($"t=1760000000,v1={Good}", body, Options("whsec_1"), Now) == SignatureFailure.Mismatch;
        }).QuickCheckThrowOnFailure();

    static SignatureFailure? Check(string? header, params string[] secrets) => StripeSignature.Check(header, Body, Options(secrets), Now);

    static StripeWebhookOptions Options(params string[] secrets) => new() { Secrets = [.. secrets.Select(Encoding.UTF8.GetBytes)] };
}
