using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Encodings.Web;
using System.Text.Unicode;

namespace Pulse.Ingress.Console;

/// <summary>
/// A piece of a page. <c>Html.Of($"&lt;td&gt;{name}&lt;/td&gt;")</c>: what stands in the template is ours, what is put into it is encoded,
/// whatever it holds. There is no way from a text to markup but through it.
/// </summary>
/// <remarks>Attributes stand in double quotes, and an address that is put into one begins with ours: encoding does not make a bad one good.</remarks>
readonly struct Html
{
    // Letters of every script as they are; what markup is made of never.
    static readonly HtmlEncoder Encoder = HtmlEncoder.Create(UnicodeRanges.All);

    readonly string? _text;

    Html(string text) => _text = text;

    public static Html Nothing => default;

    public bool IsNothing => string.IsNullOrEmpty(_text);

    public static Html Of(Template template) => new(template.Text);

    public static Html All(IEnumerable<Html> parts) => new(string.Concat(parts.Select(part => part._text)));

    public override string ToString() => _text ?? "";

    /// <summary>What the compiler makes of <c>$"…"</c>. Only these kinds of values can be put into a page: anything else does not compile.</summary>
    [InterpolatedStringHandler]
    internal readonly struct Template(int literalLength, int formattedCount)
    {
        readonly StringBuilder _text = new(literalLength + (formattedCount * 16));

        public string Text => _text.ToString();

        public void AppendLiteral(string literal) => _text.Append(literal);

        public void AppendFormatted(Html part) => _text.Append(part._text);

        public void AppendFormatted(string? value) => _text.Append(value is null ? null : Encoder.Encode(value));

        public void AppendFormatted(long value) => _text.Append(value.ToString(CultureInfo.InvariantCulture));

        public void AppendFormatted(int value) => _text.Append(value.ToString(CultureInfo.InvariantCulture));

        public void AppendFormatted(Guid value) => _text.Append(value.ToString());
    }
}
