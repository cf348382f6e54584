using System.Buffers.Binary;
using System.Globalization;
using System.Security.Claims;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;

namespace DemoBank;

/// <summary>Made-up money of one person. The same <c>sub</c> always sees the same amounts; nothing is stored.</summary>
internal sealed class Ledger(string sub)
{
    private static readonly (string Payee, int From, int To)[] Habits =
        [("Corner Grocer", 8, 62), ("City Buses", 2, 9), ("Bean & Leaf Café", 3, 14), ("Rent", 550, 950), ("Harbour Books", 6, 40), ("Salary", 1800, 3200)];

    public static Ledger Of(ClaimsPrincipal caller) => new(caller.FindFirst("sub")?.Value ?? "");

    public object Balances() => new
    {
        currency = "GBP",
        accounts = new[]
        {
            new { name = "Current account", number = $"•• {Digits("current")}", balance = Amount("current", 300, 4000) },
            new { name = "Savings", number = $"•• {Digits("savings")}", balance = Amount("savings", 1500, 20000) },
        },
    };

    public object Transactions(DateOnly today) => new
    {
        currency = "GBP",
        transactions = Habits.Select((habit, i) => new
        {
            date = today.AddDays(-1 - i * 3).ToString("yyyy-MM-dd", CultureInfo.InvariantCulture),
            text = habit.Payee,
            amount = Amount(habit.Payee, habit.From, habit.To) * (habit.Payee == "Salary" ? 1 : -1),
        }),
    };

    public object Pay(PaymentOrder order) => new
    {
        status = "accepted",
        reference = $"PAY-{Convert.ToHexString(Hash(FormattableString.Invariant($"{order.Amount}|{order.To}")))[..8]}",
        amount = order.Amount,
        to = order.To,
    };

    private byte[] Hash(string what) => SHA256.HashData(Encoding.UTF8.GetBytes($"{sub}|{what}"));

    private uint Number(string what) => BinaryPrimitives.ReadUInt32BigEndian(Hash(what));

    private string Digits(string what) => (Number(what) % 10_000).ToString("0000", CultureInfo.InvariantCulture);

    private decimal Amount(string what, int from, int to) => from + Number($"amount of {what}") % (uint)((to - from) * 100) / 100m;
}

/// <summary>A payment that a caller asks for.</summary>
internal sealed record PaymentOrder(decimal Amount, string To)
{
    /// <summary>The order in a form or a JSON body, or null when it is none that the bank takes.</summary>
    public static async Task<PaymentOrder?> ReadAsync(HttpRequest request)
    {
        string? amount = null, to = null;
        if (request.HasFormContentType)
        {
            var form = await request.ReadFormAsync();
            (amount, to) = (form["amount"], form["to"]);
        }
        else if (request.HasJsonContentType())
        {
            try
            {
                var body = await request.ReadFromJsonAsync<JsonElement>();
                if (body.ValueKind is not JsonValueKind.Object) return null;
                if (body.TryGetProperty("amount", out var a)) amount = a.ToString();
                if (body.TryGetProperty("to", out var t)) to = t.ToString();
            }
            catch (JsonException)
            {
                return null;
            }
        }
        return decimal.TryParse(amount, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out var value)
            && value is > 0 and <= 500 && to is { Length: > 0 and <= 70 } ? new PaymentOrder(value, to) : null;
    }
}
