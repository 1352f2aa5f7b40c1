using System.Collections.Concurrent;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Pulse.Tests.Signups;

namespace Pulse.Tests.Stripe;

public sealed class WebhookMalformedTests(TestPostgres postgres) : IngressTests(postgres)
{
    [Fact]
    public async Task Ten_thousand_malformed_bodies_and_headers_make_no_5xx_and_no_row()
    {
        await using var ingress = await StartAsync($"PULSE_STRIPE_WEBHOOK_SECRET={Delivery.Secret}");
        var wrong = new ConcurrentBag<string>();
        var seen = new ConcurrentDictionary<string, int>();

        await Parallel.ForEachAsync(Deliveries.Sample(10_000), new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (delivery, _) =>
        {
            var answer = await delivery.SendAsync(ingress, Clock);
            var code = (int)answer.StatusCode == 400 ? (await answer.Json()).GetProperty("code").GetString()! : $"{(int)answer.StatusCode}";
            seen.AddOrUpdate(code, 1, (_, count) => count + 1);
            if (code is not ("invalid_signature" or "invalid_request"))
                wrong.Add($"{code}: {Convert.ToBase64String(delivery.Body)} {string.Join(" | ", delivery.Headers ?? [])}");
        });

        Assert.Empty(wrong);
        // Both happen often, or the deliveries are not what this test is about.
        Assert.InRange(seen.GetValueOrDefault("invalid_signature"), 2_000, 8_000);
        Assert.InRange(seen.GetValueOrDefault("invalid_request"), 2_000, 8_000);
        Assert.Equal(0L, await Postgres.AskAsync<long>("select (select count(*) from pulse.stripe_events) + (select count(*) from messaging.outbox)"));
    }

    /// <summary>Well signed bodies that are no event, and events whose signature is damaged or noise.</summary>
    static Gen<Delivery> Deliveries
    {
        get
        {
            var text = Gen.OneOf(
                ArbMap.Default.GeneratorFor<string>().Select(any => any ?? ""),
                Gen.Elements("\0", "\ud800", "\ufffe", "t=1", "';drop table--", new string('x', 300)));
            var value = Gen.OneOf(text.Select(any => System.Text.Json.JsonSerializer.Serialize(any)), Gen.Elements("null", "7", "1e999", "[]", "{}", "true"));
            // Of id and type one at least is missing or no text that can be stored.
            var unusable = Gen.OneOf(Gen.Elements("null", "7", "1e999", "[]", "{}", "true", "\"\"", "\"a b\"", "\"a\\u0000\"", "\"\\ud800\"", "\"\u00e9\"", $"\"{new string('x', 256)}\""));
            var noEvent = Gen.OneOf(
                ArbMap.Default.GeneratorFor<byte[]>(),
                value.Select(Encoding.UTF8.GetBytes),
                unusable.Zip(value).Select(pair => Encoding.UTF8.GetBytes($$"""{"id":{{pair.Item1}},"type":"ping","created":{{pair.Item2}}}""")),
                unusable.Zip(value).Select(pair => Encoding.UTF8.GetBytes($$"""{"type":{{pair.Item1}},"id":"evt_1","livemode":{{pair.Item2}}}""")),
                Gen.Choose(0, new Delivery().Body.Length - 2).Select(length => new Delivery().Body[..length]),
                value.Select(rest => (byte[])[.. new Delivery().Body, .. Encoding.UTF8.GetBytes(rest)]),
                Gen.Constant(Encoding.UTF8.GetBytes(new string('[', 5000))),
                Gen.Constant((byte[])[0xef, 0xbb, 0xbf, .. new Delivery().Body]));

            var number = Gen.Elements("0", "-1", "1", "1760000000", "9223372036854775807", "99999999999999999999", "1e9", "", " ", "x");
            var hex = Gen.OneOf(Gen.Elements("", "00", "zz", new string('0', 64), new string('f', 63), new string('F', 64)), Header(text));
            var element = Gen.OneOf(number.Select(any => $"t={any}"), hex.Select(any => $"v1={any}"), hex.Select(any => $"v0={any}"), Header(text));
            var header = Gen.Choose(0, 20).SelectMany(count => element.ListOf(count)).Select(elements => string.Join(',', elements));
            var forged = Gen.Choose(0, 2).SelectMany(count => header.ListOf(count)).Select(headers => new Delivery { Headers = [.. headers] });
            return Gen.OneOf(noEvent.Select(body => new Delivery { Raw = body }), forged);
        }
    }

    // What a client can put into a header at all.
    static Gen<string> Header(Gen<string> text) =>
        text.Select(any => string.Concat(any.Where(letter => letter is >= ' ' and < '\u00ff' and not '\u007f')));
}
