using FsCheck;
using FsCheck.Fluent;
using Pulse.Ingress.Console;

namespace Pulse.Tests.Console;

public sealed class HtmlTests
{
    [Fact]
    public void What_is_put_into_a_template_is_text_whatever_it_holds() => Prop.ForAll<string>(text =>
    {
        var html = Html.Of($"""<a title="{text}">{text}</a>""").ToString();
        var inside = html["<a title=\"".Length..^"</a>".Length];

        Assert.Equal(1, html.Split('<').Length - 2);
        Assert.Equal(2, html.Count(letter => letter == '"'));
        Assert.Equal(System.Net.WebUtility.HtmlDecode(inside[..inside.IndexOf('"', StringComparison.Ordinal)]), System.Net.WebUtility.HtmlDecode(inside[(inside.IndexOf('>', StringComparison.Ordinal) + 1)..]));
    }).Check(Config.QuickThrowOnFailure.WithMaxTest(1000));

    [Fact]
    public void Markup_is_markup_only_when_it_was_made_as_such()
    {
        const string evil = "<script>alert(1)</script>\" onload='x' &amp;";
        var part = Html.Of($"<b>{evil}</b>");

        Assert.Equal("<p><b>&lt;script&gt;alert(1)&lt;/script&gt;&quot; onload=&#x27;x&#x27; &amp;amp;</b>7</p>", Html.Of($"<p>{part}{7}</p>").ToString());
    }

    [Theory]
    [InlineData("/console/audit?cursor=x", "/console/audit?cursor=x")]
    [InlineData("/console", "/console")]
    [InlineData("//evil.example/console", "/console")]
    [InlineData("https://evil.example", "/console")]
    [InlineData("/console\\..\\evil", "/console")]
    [InlineData("/consoleevil", "/console")]
    [InlineData("/console/sign-in?next=/console", "/console")]
    [InlineData("/console/\r\nSet-Cookie: x", "/console")]
    [InlineData("javascript:alert(1)", "/console")]
    [InlineData(null, "/console")]
    public void After_signing_in_one_gets_to_a_page_of_the_console(string? next, string path) => Assert.Equal(path, ConsolePath.After(next));
}
