using System.Text.RegularExpressions;
using Grants.Testing;

namespace Grants.Api.Tests.Token;

/// <summary>Habits that only the sources show.</summary>
public sealed partial class SourceRules
{
    private static readonly IReadOnlyList<(string Path, string Text)> Sources = SourceTree.CSharp("src");

    [Fact, Trait("Attack", "K3")]
    public void Hashes_seals_and_secrets_are_compared_in_constant_time()
    {
        Assert.NotEmpty(Sources);
        Assert.All(Sources.Where(file => file.Path != "src/Grants.Domain/Protocol/ValueList.cs"), // a list's equality, item by item
            file => Assert.DoesNotMatch(VariableTimeComparison(), WithoutComments(file.Text)));

        // Each place where a credential is compared, and that it is compared so.
        Assert.All((string[])["src/Grants.Domain/Protocol/Secret.cs", "src/Grants.Domain/Protocol/CodeChallenge.cs", "src/Grants.Api/Keys/SealedHandles.cs", "src/Grants.Api/Authorize/AuthorizationFlow.cs", "src/Grants.Api/Http/ClientAssertion.cs"],
            path => Assert.Contains("CryptographicOperations.FixedTimeEquals(", Sources.Single(file => file.Path == path).Text, StringComparison.Ordinal));
    }

    [Theory, Trait("Attack", "K3")]
    [InlineData("if (hash.Sha256 == other.Sha256) return;", true)]
    [InlineData("computed.SequenceEqual(seal)", true)]
    [InlineData("secret.Expose() == posted", true)]
    [InlineData("CryptographicOperations.FixedTimeEquals(a, b)", false)]
    public void The_rule_about_comparisons_bites(string line, bool found) => Assert.Equal(found, VariableTimeComparison().IsMatch(line));

    [Fact, Trait("Attack", "T13")]
    public void Only_RandomNumberGenerator_makes_randomness() => Assert.All(Sources, file =>
    {
        var code = WithoutComments(file.Text);
        Assert.DoesNotMatch(WeakRandomness(), code);
    });

    [Fact, Trait("Law", "L7")]
    public void Decisions_never_read_an_asynchronous_view()
    {
        // Who may read one: pages of the person's own, the recorder of expiries (which folds the stream before it writes), commands.
        var readers = Sources.Where(file => file.Path.StartsWith("src/Grants.Api/", StringComparison.Ordinal) && AsyncView().IsMatch(file.Text)).Select(file => file.Path).ToList();
        Assert.NotEmpty(readers);
        Assert.All(readers, path => Assert.True(
            path.StartsWith("src/Grants.Api/Account/", StringComparison.Ordinal) || path.StartsWith("src/Grants.Api/Expiry/", StringComparison.Ordinal)
            || path.StartsWith("src/Grants.Api/Commands/", StringComparison.Ordinal) || path is "src/Grants.Api/Composition.cs", $"{path} reads an asynchronous view."));
        Assert.All(Sources.Where(file => file.Path.StartsWith("src/Grants.Domain/", StringComparison.Ordinal)), file => Assert.DoesNotMatch(AsyncView(), file.Text));

        // Even there, what is handed to the door doesn't.
        Assert.All(Sources.SelectMany(file => Delegates(file.Text).Select(text => (file.Path, text))), found => Assert.DoesNotMatch(AsyncView(), found.text));
    }

    [Theory, Trait("Law", "L7")]
    [InlineData("await log.Commit(cause, [id], (streams, now) => views.TokensAsync(x), ct);", 1)]
    [InlineData("await log.Read([id], ct);", 0)]
    public void The_calls_of_the_door_are_found(string text, int count) => Assert.Equal(count, Delegates(text).Count());

    /// <summary>The arguments of every call of the door, parentheses balanced.</summary>
    private static IEnumerable<string> Delegates(string text)
    {
        foreach (Match call in DoorCall().Matches(text))
        {
            var (depth, i) = (1, call.Index + call.Length);
            for (; i < text.Length && depth > 0; i++) depth += text[i] switch { '(' => 1, ')' => -1, _ => 0 };
            yield return text[call.Index..i];
        }
    }

    private static string WithoutComments(string text) => Comment().Replace(text, "");

    [GeneratedRegex(@"//[^\n]*")]
    private static partial Regex Comment();

    [GeneratedRegex(@"\.Expose\(\)\s*[!=]=|[!=]=\s*\w+\.Expose\(\)|SequenceEqual\(|\.Sha256\s*==|==\s*\w+\.Sha256")]
    private static partial Regex VariableTimeComparison();

    [GeneratedRegex(@"\bnew Random\(|\bRandom\.Shared|\bGuid\.NewGuid\(|RNGCryptoServiceProvider|Path\.GetRandomFileName|\bMD5\b|\bSHA1\b")]
    private static partial Regex WeakRandomness();

    [GeneratedRegex(@"CurrentGrantsTable|CurrentTokensTable|DeadlinesTable|\bAccessViews\b|\bviews\.|current_grants_v|current_tokens_v|deadlines_v")]
    private static partial Regex AsyncView();

    [GeneratedRegex(@"\b[lL]og\.Commit(Each)?\(")]
    private static partial Regex DoorCall();
}
