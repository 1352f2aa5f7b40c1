using System.Buffers;
using System.Collections;
using System.Collections.Frozen;
using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.RegularExpressions;
using Pulse.Contracts.Signups;

namespace Pulse.Ingress.DeadLetters;

/// <summary>
/// The fields of a message and its headers that may be shown, each with the form that its value must have. The contracts' own fields are known by
/// their types; a text only where it is listed here. A name that nobody knows is not shown either: it may be somebody's email. Pure.
/// </summary>
static partial class FieldMasking
{
    const int ItemsMost = 200;
    const int BodyMost = 1 << 20;

    [Flags]
    enum Form
    {
        None = 0,
        Id = 1,
        Time = 2,
        Number = 4,
        Flag = 8,
        Code = 16,
        StripeId = 32,
        Type = 64,
        Address = 128,
        Version = 256,
        Prose = 512,
        Stack = 1024,
        Trace = 2048,
    }

    // MassTransit's envelope and headers, and the texts among the contracts' fields.
    static readonly (Form Form, string Names)[] Listed =
    [
        (Form.Id, "messageId requestId correlationId conversationId initiatorId MT-MessageId MT-Request-Id MT-Conversation-Id Pulse-Replay-Id"),
        (Form.Address, "sourceAddress destinationAddress responseAddress faultAddress MT-Fault-InputAddress MT-Source-Address MT-Destination-Address x-first-death-queue x-last-death-queue queue"),
        (Form.Type, "messageType MT-Fault-ExceptionType MT-Fault-ConsumerType MT-Fault-MessageType exceptionType processName assembly MT-Host-ProcessName MT-Host-Assembly contentType Content-Type routing-keys exchange"),
        (Form.Time, "sentTime expirationTime timestamp MT-Fault-Timestamp"),
        (Form.Number, "MT-Fault-RetryCount MT-Fault-RedeliveryCount MT-Redelivery-Count x-delivery-count Pulse-Replay-Attempt processId MT-Host-ProcessId count"),
        (Form.Version, "assemblyVersion frameworkVersion massTransitVersion MT-Host-AssemblyVersion MT-Host-FrameworkVersion MT-Host-MassTransitVersion"),
        (Form.Code, "MT-Reason x-first-death-reason x-last-death-reason reason fromStatus toStatus subscriptionState status state effect source outcome"),
        (Form.StripeId, "customerId eventId"),
        (Form.Prose, "MT-Fault-Message"),
        (Form.Stack, "MT-Fault-StackTrace stackTrace"),
        (Form.Trace, "MT-Activity-Id traceparent"),
        // Shown as a name, for what is in them.
        (Form.None, "message headers host x-death exceptions MT-Host-MachineName MT-Host-OperatingSystemVersion machineName operatingSystemVersion"),
    ];

    static readonly FrozenDictionary<string, Form> Known = Collect();

    static readonly JsonWriterOptions Pretty = new()
    {
        Indented = true,
        // It goes through HTML's encoder, or JSON's, once more.
        Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping,
    };

    static readonly JsonDocumentOptions Tolerant = new() { MaxDepth = 64 };

    /// <summary>A body as JSON with only what may be shown; null when it is no JSON, or too long a one: then nothing of it is.</summary>
    public static string? Body(ReadOnlyMemory<byte> body)
    {
        if (body.Length > BodyMost)
            return null;

        try
        {
            using var document = JsonDocument.Parse(body, Tolerant);
            return Json(document.RootElement);
        }
        catch (JsonException)
        {
            return null;
        }
    }

    public static string Json(JsonElement element)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, Pretty))
            Write(writer, "", element);
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    /// <summary>Headers, in the order of their names.</summary>
    public static IReadOnlyList<(string Name, string Value)> Headers(JsonElement headers)
    {
        var shown = new List<(string, string)>();
        if (headers.ValueKind != JsonValueKind.Object)
            return shown;

        var unknown = 0;
        foreach (var header in headers.EnumerateObject().OrderBy(header => Name(header), StringComparer.Ordinal))
        {
            var name = Name(header);
            shown.Add(IsKnown(name)
                ? (name, header.Value.ValueKind is JsonValueKind.Object or JsonValueKind.Array ? Json(header.Value, name) : Scalar(name, header.Value))
                : ($"{Masking.Mask} {++unknown}", Masking.Mask));
        }

        return shown;
    }

    /// <summary>What an edit changed at a JSON pointer.</summary>
    public static (string Path, string Before, string After) Change(string path, JsonElement before, JsonElement after)
    {
        var steps = path.Split('/', StringSplitOptions.RemoveEmptyEntries).Select(step => step.Replace("~1", "/", StringComparison.Ordinal).Replace("~0", "~", StringComparison.Ordinal)).ToList();
        // An array's item is of the field that the array stands in.
        var field = steps.LastOrDefault(step => !Index().IsMatch(step)) ?? "";
        return ("/" + string.Join('/', steps.Select(Step)), Compact(field, before), Compact(field, after));
    }

    /// <summary>Steps of a JSON pointer, those that are known.</summary>
    public static string Path(string path) => Change(path, default, default).Path;

    static string Step(string step) => Index().IsMatch(step) || IsKnown(step) ? step : Masking.Mask;

    static string Compact(string field, JsonElement value) => value.ValueKind switch
    {
        JsonValueKind.Undefined => "",
        JsonValueKind.Object or JsonValueKind.Array => Json(value, field),
        _ => Scalar(field, value),
    };

    static string Json(JsonElement element, string field)
    {
        var buffer = new ArrayBufferWriter<byte>();
        using (var writer = new Utf8JsonWriter(buffer, Pretty))
            Write(writer, field, element);
        return Encoding.UTF8.GetString(buffer.WrittenSpan);
    }

    static void Write(Utf8JsonWriter writer, string field, JsonElement element)
    {
        switch (element.ValueKind)
        {
            case JsonValueKind.Object:
                writer.WriteStartObject();
                var unknown = 0;
                foreach (var property in element.EnumerateObject().Take(ItemsMost))
                {
                    var name = Name(property);
                    writer.WritePropertyName(IsKnown(name) ? name : $"{Masking.Mask} {++unknown}");
                    // What is in a field that nobody knows is no better known for being in it, but its own names may be.
                    Write(writer, name, property.Value);
                }

                writer.WriteEndObject();
                break;

            case JsonValueKind.Array:
                writer.WriteStartArray();
                foreach (var item in element.EnumerateArray().Take(ItemsMost))
                    Write(writer, field, item);
                writer.WriteEndArray();
                break;

            case JsonValueKind.Null:
                writer.WriteNullValue();
                break;

            case JsonValueKind.Number when Scalar(field, element) is var text && text != Masking.Mask:
                writer.WriteRawValue(text);
                break;

            case JsonValueKind.True or JsonValueKind.False when FormOf(field).HasFlag(Form.Flag):
                writer.WriteBooleanValue(element.GetBoolean());
                break;

            default:
                writer.WriteStringValue(Scalar(field, element));
                break;
        }
    }

    static string Scalar(string field, JsonElement value)
    {
        var form = FormOf(field);
        return value.ValueKind switch
        {
            JsonValueKind.Null => "",
            JsonValueKind.True or JsonValueKind.False => form.HasFlag(Form.Flag) ? value.GetRawText() : Masking.Mask,
            // Nine digits: no card, no telephone number.
            JsonValueKind.Number => form.HasFlag(Form.Number) && value.TryGetInt64(out var number) && Math.Abs(number) < 1_000_000_000
                ? number.ToString(CultureInfo.InvariantCulture)
                : Masking.Mask,
            JsonValueKind.String when TryText(value) is { } text => Text(form, text),
            _ => Masking.Mask,
        };
    }

    static string Text(Form form, string text)
    {
        if (form.HasFlag(Form.Prose))
            return Masking.Text(text)!;
        if (form.HasFlag(Form.Stack))
            return Masking.Stack(text)!;
        if (form.HasFlag(Form.Type))
            return Masking.TypeName(text)!;
        if (form.HasFlag(Form.Address))
            return Address(text);

        var fits = (form.HasFlag(Form.Id) && Guid.TryParseExact(text, "D", out _))
            || (form.HasFlag(Form.Time) && Iso().IsMatch(text))
            || (form.HasFlag(Form.Number) && SmallNumber().IsMatch(text))
            || (form.HasFlag(Form.Code) && Code().IsMatch(text) && Vocabulary.IsIdentifier(text))
            || (form.HasFlag(Form.StripeId) && StripeId().IsMatch(text))
            || (form.HasFlag(Form.Version) && Version().IsMatch(text))
            || (form.HasFlag(Form.Trace) && Trace().IsMatch(text));
        return fits ? text : Masking.Mask;
    }

    // rabbitmq://host/vhost/queue?options: only the queue, if it is one of ours.
    static string Address(string text)
    {
        var path = text.Split('?', 2)[0];
        var last = path[(path.LastIndexOf('/') + 1)..];
        return Vocabulary.IsIdentifier(last) ? (path.Contains('/', StringComparison.Ordinal) ? $"…/{last}" : last) : Masking.Mask;
    }

    static Form FormOf(string field) => Known.GetValueOrDefault(Key(field));

    static bool IsKnown(string field) => Known.ContainsKey(Key(field));

    // message_id and messageId are one.
    static string Key(string field) => field.Replace("_", "", StringComparison.Ordinal).ToLowerInvariant();

    static string Name(JsonProperty property)
    {
        try
        {
            return property.Name;
        }
        catch (InvalidOperationException)
        {
            // Half of a character.
            return "";
        }
    }

    static string? TryText(JsonElement value)
    {
        try
        {
            return value.GetString();
        }
        catch (InvalidOperationException)
        {
            return null;
        }
    }

    static FrozenDictionary<string, Form> Collect()
    {
        var known = new Dictionary<string, Form>(StringComparer.Ordinal);
        foreach (var type in typeof(SignupRequested).Assembly.GetExportedTypes())
        {
            foreach (var property in type.GetProperties().Where(property => !property.GetMethod!.IsStatic))
                Add(property.Name, FormOf(property.PropertyType));
        }

        foreach (var (form, names) in Listed)
        {
            foreach (var name in names.Split(' '))
                Add(name, form);
        }

        return known.ToFrozenDictionary(StringComparer.Ordinal);

        void Add(string name, Form form) => known[Key(name)] = known.GetValueOrDefault(Key(name)) | form;
    }

    static Form FormOf(Type type)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        if (type == typeof(Guid))
            return Form.Id;
        if (type == typeof(DateTimeOffset) || type == typeof(DateTime))
            return Form.Time;
        if (type == typeof(bool))
            return Form.Flag;
        if (type == typeof(int) || type == typeof(long) || type == typeof(double))
            return Form.Number;

        return typeof(IEnumerable).IsAssignableFrom(type) && type != typeof(string) && type.GetGenericArguments() is [var item] ? FormOf(item) : Form.None;
    }

    [GeneratedRegex(@"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?\z")]
    private static partial Regex Iso();

    [GeneratedRegex(@"^-?\d{1,9}\z")]
    private static partial Regex SmallNumber();

    [GeneratedRegex(@"^[a-z]+(?:[_.\-][a-z]+){0,5}\z")]
    private static partial Regex Code();

    [GeneratedRegex(@"^(?:cus|evt|sub|price|prod|in)_[A-Za-z0-9_]{1,64}\z")]
    private static partial Regex StripeId();

    [GeneratedRegex(@"^\d{1,5}(?:\.\d{1,5}){1,3}\z")]
    private static partial Regex Version();

    [GeneratedRegex(@"^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}\z")]
    private static partial Regex Trace();

    [GeneratedRegex(@"^(?:\d{1,4}|-)\z")]
    private static partial Regex Index();
}
