using System.Text;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Pulse.Messaging.DeadLetters;
using Pulse.Worker.DeadLetters;
using RabbitMQ.Client;

namespace Pulse.Tests.DeadLetters;

/// <summary>Whatever lies in a queue becomes a letter that Postgres can hold.</summary>
public sealed class LetterReadingTests
{
    static readonly Config Often = Config.QuickThrowOnFailure.WithMaxTest(400);

    static DeadLetterDelivery Delivery(string body, params (string Name, object? Value)[] headers) => new()
    {
        Endpoint = "chores",
        IsSkipped = false,
        Headers = headers.ToDictionary(header => header.Name, header => header.Value),
        Body = Encoding.UTF8.GetBytes(body),
    };

    [Fact]
    public void An_envelope_s_parts_are_known()
    {
        var (message, org) = (Guid.NewGuid(), Guid.NewGuid());
        var letter = LetterReading.Read(Delivery(
            $$$"""{"messageId":"{{{message}}}","messageType":["urn:message:Pulse.Contracts.Billing:SyncStripeCustomer"],"message":{"orgId":"{{{org}}}"}}""",
            ("MT-Fault-ExceptionType", "A.B"u8.ToArray()), ("MT-Fault-Message", "it broke"), ("MT-Fault-Timestamp", "2026-11-21T18:20:31.6641214Z")));
        Assert.Equal(
            (true, message, "Pulse.Contracts.Billing:SyncStripeCustomer", org, "fault", "A.B", "it broke"),
            (letter.IsEnvelope, letter.MessageId, letter.MessageType, letter.OrgId, letter.Reason, letter.ExceptionType, letter.ExceptionMessage));
        Assert.Equal(DateTimeOffset.Parse("2026-11-21T18:20:31.664121Z", System.Globalization.CultureInfo.InvariantCulture), letter.FailedAt);
        Assert.Equal(new[] { message, org }.Order(), letter.Ids.Order());
    }

    [Fact]
    public void A_redelivered_message_is_the_one_that_the_inbox_knows()
    {
        var first = Guid.NewGuid();
        Assert.Equal(first, LetterReading.Read(Delivery(
            $$$"""{"messageId":"{{{Guid.NewGuid()}}}","messageType":["urn:message:A:B"],"message":{}}""", ("MT-OriginalMessageId", first.ToString()))).MessageId);
    }

    [Fact]
    public void What_was_delivered_too_often_has_the_broker_s_time()
    {
        var letter = LetterReading.Read(Delivery("{}", ("x-first-death-reason", "delivery_limit"u8.ToArray()),
            ("x-death", new List<object?> { new Dictionary<string, object?> { ["time"] = new AmqpTimestamp(1_700_000_000), ["count"] = 1L } })));
        Assert.Equal(("delivery_limit", DateTimeOffset.FromUnixTimeSeconds(1_700_000_000)), (letter.Reason, letter.FailedAt));
    }

    [Fact]
    public void A_message_without_an_id_gets_the_same_one_for_each_delivery_and_no_other_has_it()
    {
        var first = LetterReading.Read(Delivery("odd", ("x-delivery-count", 1L), ("a", "b")));
        var again = LetterReading.Read(Delivery("odd", ("a", "b"), ("x-delivery-count", 2L)));
        Assert.Equal((first.MessageId, first.Failure), (again.MessageId, again.Failure));
        Assert.NotEqual(first.MessageId, LetterReading.Read(Delivery("odd", ("a", "c"))).MessageId);
    }

    [Fact]
    public void No_row_is_larger_than_it_may_be()
    {
        var letter = LetterReading.Read(new DeadLetterDelivery
        {
            Endpoint = "chores",
            IsSkipped = false,
            Headers = Enumerable.Range(0, 1000).ToDictionary(number => $"h{number}", object? (_) => new string('x', 100_000)),
            Body = new byte[LetterReading.MostBody + 1],
        });
        Assert.Equal((LetterReading.MostBody + 1, 64 << 10), (letter.BodyBytes, letter.Body.Length));
        Assert.True(letter.Headers.Length < 256 << 10, $"{letter.Headers.Length}");
        Assert.Equal(LetterReading.MostBody, LetterReading.Read(new DeadLetterDelivery { Endpoint = "c", IsSkipped = false, Headers = new Dictionary<string, object?>(), Body = new byte[LetterReading.MostBody] }).Body.Length);
    }

    [Fact]
    public void Nothing_that_lies_there_makes_it_fail_and_everything_is_text_that_Postgres_holds() => Check.One(Often, Prop.ForAll(
        Odd.ToArbitrary(), Odd.ToArbitrary(), ArbMap.Default.GeneratorFor<byte[]>().ToArbitrary(), (text, other, bytes) =>
        {
            var letter = LetterReading.Read(Delivery(
                text ?? "", ("MT-Fault-Message", other), ("MT-Fault-StackTrace", text), ("MT-Fault-ExceptionType", bytes), (other ?? "n", text),
                ("list", new List<object?> { text, bytes, null, 1.5, double.NaN, new Dictionary<string, object?> { [text ?? "k"] = bytes } }),
                ("MT-Fault-Timestamp", other)));
            using var headers = JsonDocument.Parse(letter.Headers);
            return Holds(letter.ExceptionMessage) && Holds(letter.Stack) && Holds(letter.ExceptionType) && Holds(letter.NormalStack) && Holds(letter.Headers)
                && Holds(letter.Failure) && !letter.Headers.Contains("\\u0000", StringComparison.Ordinal) && letter.Body.AsSpan().SequenceEqual(Encoding.UTF8.GetBytes(text ?? ""));
        }));

    static bool Holds(string? text) => text is null || (!text.Contains('\0', StringComparison.Ordinal) && text == Encoding.UTF8.GetString(Encoding.UTF8.GetBytes(text)));

    static Gen<string> Odd => Gen.OneOf(
        ArbMap.Default.GeneratorFor<string>(),
        Gen.Elements("\0", "\uD83D", "a\uDC00b", "{\"messageType\":1,\"message\":2}", "{\"messageType\":[null],\"message\":{\"orgId\":3}}", "{\"messageId\":\"\\ud800\",\"messageType\":[],\"message\":{}}",
            "[[[[", "2026-11-21T18:20:31Z", "99999-01-01", "😀😀", "\u2028"),
        from many in Gen.Choose(1, 9_000) select new string('é', many));
}
