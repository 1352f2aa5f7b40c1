using System.Net;
using System.Text.RegularExpressions;
using Pulse.Tests.Admin;

namespace Pulse.Tests.Console;

/// <summary>An ingress whose console is asked as a browser asks it, cookies and all, with no worker behind it.</summary>
public abstract partial class ConsoleTests(TestPostgres postgres) : AdminTests(postgres)
{
    /// <summary>A browser that has its own cookies, and an address of its own.</summary>
    protected sealed class Browser(TestIngress ingress, bool tls = false) : IDisposable
    {
        readonly HttpClient _http = new(new SocketsHttpHandler { AllowAutoRedirect = false, UseCookies = false }) { BaseAddress = ingress.Http.BaseAddress };
        readonly string _client = Some.Client;

        public Dictionary<string, string> Cookies { get; } = [];

        public async Task<HttpResponseMessage> SendAsync(HttpMethod method, string path, IEnumerable<KeyValuePair<string, string>>? form = null, params (string Name, string Value)[] headers)
        {
            using var request = new HttpRequestMessage(method, path);
            request.Headers.Add("X-Forwarded-For", _client);
            if (tls)
                request.Headers.Add("X-Forwarded-Proto", "https");
            if (Cookies.Count > 0)
                request.Headers.Add("Cookie", string.Join("; ", Cookies.Select(cookie => $"{cookie.Key}={cookie.Value}")));
            foreach (var (name, value) in headers)
                request.Headers.TryAddWithoutValidation(name, value);
            if (form is not null)
                request.Content = new FormUrlEncodedContent(form);

            var answer = await _http.SendAsync(request);
            foreach (var cookie in answer.Headers.TryGetValues("Set-Cookie", out var set) ? set : [])
            {
                var pair = cookie.Split(';')[0].Split('=', 2);
                if (pair[1].Length == 0)
                    Cookies.Remove(pair[0]);
                else
                    Cookies[pair[0]] = pair[1];
            }

            return answer;
        }

        public Task<HttpResponseMessage> GetAsync(string path, params (string Name, string Value)[] headers) => SendAsync(HttpMethod.Get, path, null, headers);

        /// <summary>A page, which has to be there.</summary>
        public async Task<string> PageAsync(string path)
        {
            using var answer = await GetAsync(path);
            var page = await answer.Content.ReadAsStringAsync();
            Assert.True(answer.StatusCode == HttpStatusCode.OK, $"{path}: {(int)answer.StatusCode} {answer.Headers.Location}\n{page}");
            return page;
        }

        /// <summary>Sends a form with the token of a page that it was given.</summary>
        public Task<HttpResponseMessage> PostAsync(string path, string page, params (string Name, string Value)[] fields) =>
            SendAsync(HttpMethod.Post, path, [new("form_token", Token(page)), .. fields.Select(field => KeyValuePair.Create(field.Name, field.Value))]);

        public async Task<HttpResponseMessage> SignInAsync(string key, string next = "")
        {
            using var shown = await GetAsync("/console/sign-in");
            return await PostAsync("/console/sign-in", await shown.Content.ReadAsStringAsync(), ("key", key), ("next", next));
        }

        public void Dispose() => _http.Dispose();
    }

    /// <summary>A browser that is signed in with a new key.</summary>
    protected async Task<Browser> SignedInAsync(params string[] scopes)
    {
        var browser = new Browser(Ingress);
        using var answer = await browser.SignInAsync(await Postgres.KeyAsync(Clock, null, scopes));
        Assert.Equal(HttpStatusCode.SeeOther, answer.StatusCode);
        return browser;
    }

    protected static string Token(string page) => TokenField().Match(page).Groups[1].Value;

    [GeneratedRegex("name=\"form_token\" value=\"([^\"]+)\"")]
    private static partial Regex TokenField();
}
