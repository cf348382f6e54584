// Medians over the rounds of a run's results.tsv, as a table for people and as summary.tsv and summary.json.   node report.mjs FOLDER
import { readFileSync, writeFileSync } from 'node:fs';

const folder = process.argv[2];
const read = (file) => {
  const [head, ...rows] = readFileSync(`${folder}/${file}`, 'utf8').trimEnd().split('\n').map((line) => line.split('\t'));
  return rows.map((row) => Object.fromEntries(head.map((name, i) => [name, row[i] ?? ''])));
};
const median = (numbers) => {
  const sorted = numbers.map(Number).sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
};

const results = read('results.tsv');
const missing = read('not-measured.tsv');
const measured = ['per_second', 'p50_ms', 'p99_ms', 'server_cpu_us', 'database_cpu_us', 'later_cpu_us', 'client_cpu_us', 'other_cpu_percent', 'rss_mb', 'wal_bytes', 'disk_bytes'];
const summary = [];
for (const scenario of new Set(results.map((row) => row.scenario))) {
  const ours = results.filter((row) => row.scenario === scenario && row.server === 'grants');
  for (const server of new Set(results.filter((row) => row.scenario === scenario).map((row) => row.server))) {
    const rows = results.filter((row) => row.scenario === scenario && row.server === server);
    const line = { scenario, server, rounds: rows.length, errors: rows.reduce((sum, row) => sum + Number(row.errors), 0), unrest: rows.filter((row) => row.at_rest === 'no').length };
    for (const name of measured) line[name] = median(rows.map((row) => row[name]));
    line.lowest = Math.min(...rows.map((row) => Number(row.per_second)));
    line.highest = Math.max(...rows.map((row) => Number(row.per_second)));
    line.ratio = ours.length ? line.per_second / median(ours.map((row) => row.per_second)) : null;
    summary.push(line);
  }
}

const shown = [
  ['server', (l) => l.server], ['per s', (l) => l.per_second.toFixed(0)], ['lowest–highest', (l) => `${l.lowest.toFixed(0)}–${l.highest.toFixed(0)}`],
  ['to ours', (l) => (l.ratio === null ? '' : `${l.ratio.toFixed(2)}×`)], ['p50 ms', (l) => l.p50_ms.toFixed(1)], ['p99 ms', (l) => l.p99_ms.toFixed(1)],
  ['server µs', (l) => l.server_cpu_us.toFixed(0)], ['database µs', (l) => l.database_cpu_us.toFixed(0)], ['later µs', (l) => `${l.later_cpu_us.toFixed(0)}${l.unrest ? '+' : ''}`],
  ['load µs', (l) => l.client_cpu_us.toFixed(0)], ['others %', (l) => l.other_cpu_percent.toFixed(1)], ['RSS MB', (l) => l.rss_mb.toFixed(0)],
  ['WAL B', (l) => l.wal_bytes.toFixed(0)], ['disk B', (l) => l.disk_bytes.toFixed(0)], ['', (l) => (l.errors ? `INVALID: ${l.errors} errors` : '')],
];
let text = '';
const table = (rows) => {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  for (const row of rows) text += `${row.map((cell, i) => (i === 0 || i === row.length - 1 ? cell.padEnd(widths[i]) : cell.padStart(widths[i]))).join('  ').trimEnd()}\n`;
};
text += `${readFileSync(`${folder}/machine.tsv`, 'utf8').trimEnd().split('\n').map((line) => line.replace('\t', ': ')).join(' · ')}\n`;
for (const scenario of new Set(summary.map((line) => line.scenario))) {
  text += `\n${scenario} (medians over rounds; CPU, WAL and disk for each ${scenario === 'code' ? 'iteration of two requests' : 'request'})\n`;
  table([shown.map(([title]) => title), ...summary.filter((line) => line.scenario === scenario).map((line) => shown.map(([, cell]) => cell(line)))]);
}
if (missing.length > 0) {
  text += '\nNot measured\n';
  table([['server', 'scenario', 'why'], ...missing.map((row) => [row.server, row.scenario, row.why])]);
}

const names = ['scenario', 'server', 'rounds', 'ratio', 'lowest', 'highest', ...measured, 'unrest', 'errors'];
writeFileSync(`${folder}/summary.tsv`, [names, ...summary.map((line) => names.map((name) => line[name] ?? ''))].map((row) => `${row.join('\t')}\n`).join(''));
writeFileSync(`${folder}/summary.json`, `${JSON.stringify({ machine: Object.fromEntries(readFileSync(`${folder}/machine.tsv`, 'utf8').trimEnd().split('\n').map((line) => line.split('\t'))), results: summary, not_measured: missing }, null, 2)}\n`);
writeFileSync(`${folder}/table.txt`, text);
process.stdout.write(text);
