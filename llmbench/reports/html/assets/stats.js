"use strict";
// The statistics of the leaderboard, as llmbench.stats computes them, for the problems of a filter.
// biome-ignore lint/correctness/noUnusedVariables: board.js uses it
const Stats = (() => {
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const present = (values) => values.filter((value) => value !== null);

  function median(values) {
    const sorted = Float64Array.from(present(values)).sort();
    const half = sorted.length >> 1;
    if (!sorted.length) return null;
    return sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  }

  // Wilson's interval of a single problem.
  function wilson(c, n, quantile) {
    const rate = c / n, ratio = quantile ** 2 / n, centre = (rate + ratio / 2) / (1 + ratio);
    const half = quantile / (1 + ratio) * Math.sqrt(rate * (1 - rate) / n + ratio / (4 * n));
    return [rate === 0 ? 0 : Math.max(0, centre - half), rate === 1 ? 1 : Math.min(1, centre + half)];
  }

  // The beta-binomial interval of llmbench/stats/beta_binomial.py, on the same grid.
  function rateInterval(problems, tail) {
    const MEANS = 800, CORRELATIONS = 24;
    const most = Math.max(...problems.map(({ n }) => n)), factors = [];
    for (let i = 0; i < most; i++) {
      factors.push([i, problems.filter(({ c }) => c > i).length, problems.filter(({ n, c }) => n - c > i).length,
        problems.filter(({ n }) => n > i).length]);
    }
    const logarithms = new Float64Array(MEANS * CORRELATIONS), angles = [], means = [];
    let largest = -Infinity;
    for (let m = 0; m < MEANS; m++) {
      angles.push((m + 0.5) / MEANS * Math.PI);
      means.push(0.5 - 0.5 * Math.cos(angles[m]));
      for (let k = 0; k < CORRELATIONS; k++) {
        const size = CORRELATIONS / (k + 0.5) - 1, a = means[m] * size, b = (1 - means[m]) * size;
        let value = 0;
        for (const [i, passes, failures, runs] of factors) {
          value += passes * Math.log(a + i) + failures * Math.log(b + i) - runs * Math.log(size + i);
        }
        logarithms[m * CORRELATIONS + k] = value;
        largest = Math.max(largest, value);
      }
    }
    const posterior = angles.map((angle, m) => Math.sin(angle)
      * sum(Array.from(logarithms.subarray(m * CORRELATIONS, (m + 1) * CORRELATIONS), (l) => Math.exp(l - largest))));
    const total = sum(posterior);
    let before = 0;
    const cumulated = posterior.map((p) => {
      before += p;
      return (before - p / 2) / total;
    });
    const at = (share) => {
      const right = cumulated.findIndex((value) => value >= share);
      if (right <= 0) return means[right < 0 ? MEANS - 1 : 0];
      const part = (share - cumulated[right - 1]) / (cumulated[right] - cumulated[right - 1]);
      return means[right - 1] + part * (means[right] - means[right - 1]);
    };
    const rate = sum(problems.map(({ c }) => c)) / sum(problems.map(({ n }) => n));
    return [rate === 0 ? 0 : Math.min(at(tail), rate), rate === 1 ? 1 : Math.max(at(1 - tail), rate)];
  }

  // One line of llmbench.stats.summarize: attempts of one target.
  function summarize(attempts, { alpha, quantile }) {
    const scored = attempts.filter((each) => each.scored), byProblem = new Map();
    for (const { problem, passed } of scored.map((each) => ({ problem: each.problem, passed: each.outcome === "passed" }))) {
      const counts = byProblem.get(problem) ?? { n: 0, c: 0 };
      byProblem.set(problem, { n: counts.n + 1, c: counts.c + passed });
    }
    const problems = [...byProblem.values()], repeated = problems.filter(({ n }) => n > 1);
    const mean = (values) => values.length ? sum(values) / values.length : null;
    const passes = sum(problems.map(({ c }) => c)), rate = scored.length ? passes / scored.length : null;
    const priced = scored.filter(({ cost }) => cost !== null), costs = present(attempts.map(({ cost }) => cost));
    const solved = priced.filter(({ outcome }) => outcome === "passed").length;
    const [low, high] = !problems.length ? [null, null] : problems.length === 1
      ? wilson(problems[0].c, problems[0].n, quantile) : rateInterval(problems, alpha / 2);
    return {
      attempts: attempts.length, scored: scored.length, problems: problems.length, pass_rate: rate, ci_low: low, ci_high: high,
      std_score: rate === null ? null : 100 * Math.sqrt(rate * (1 - rate)),
      flaky: mean(repeated.map(({ n, c }) => Number(c > 0 && c < n))),
      agreement: mean(repeated.map(({ n, c }) => 1 - 2 * c * (n - c) / (n * (n - 1)))),
      ttft_seconds: median(attempts.map(({ ttft }) => ttft)),
      tokens_per_second: median(attempts.map(({ speed }) => speed)),
      cost_usd: costs.length ? sum(costs) : null,
      cost_per_solved_usd: solved ? sum(priced.map(({ cost }) => cost)) / solved : null,
    };
  }

  const gcd = (a, b) => b ? gcd(b, a % b) : a;

  // The p-value of the paired permutation test: all patterns of signs are counted by their sum.
  // Where that takes too long, the normal distribution stands for them.
  function signFlip(pairs) {
    const scale = pairs.reduce((all, [one, other]) => {
      const both = one.n / gcd(one.n, other.n) * other.n;
      return all / gcd(all, both) * both;
    }, 1);
    const whole = pairs.map(([one, other]) => Math.round(one.c * scale / one.n - other.c * scale / other.n)).filter(Boolean);
    const sizes = whole.map(Math.abs), observed = Math.abs(sum(whole)), most = sum(sizes);
    if (!observed) return 1;
    if (most * sizes.length > 2e7) return 2 * upperTail(observed / Math.sqrt(sum(sizes.map((size) => size ** 2))));
    let shares = new Float64Array(2 * most + 1), reached = 0;
    shares[most] = 1;
    for (const size of sizes) {
      const next = new Float64Array(shares.length);
      for (let at = most - reached; at <= most + reached; at++) {
        next[at - size] += shares[at] / 2;
        next[at + size] += shares[at] / 2;
      }
      reached += size;
      shares = next;
    }
    let p = 0;
    for (let at = 0; at < shares.length; at++) if (Math.abs(at - most) >= observed) p += shares[at];
    return Math.min(1, p);
  }

  // Of the standard normal distribution (Abramowitz & Stegun 26.2.17).
  function upperTail(z) {
    const t = 1 / (1 + 0.2316419 * z);
    const series = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
    return Math.exp(-z * z / 2) / Math.sqrt(2 * Math.PI) * series;
  }

  function holm(pValues) {
    const adjusted = [];
    let largest = 0;
    pValues.map((_, i) => i).sort((i, j) => pValues[i] - pValues[j]).forEach((i, rank) => {
      adjusted[i] = largest = Math.max(largest, Math.min(1, (pValues.length - rank) * pValues[i]));
    });
    return adjusted;
  }

  // The letters of llmbench.stats.letters; `attempts` are lists by target, the best first.
  function letters(attempts, alpha) {
    const rates = attempts.map((list) => {
      const byKey = new Map();
      for (const { key, scored, outcome } of list) {
        if (!scored) continue;
        const counts = byKey.get(key) ?? { n: 0, c: 0 };
        byKey.set(key, { n: counts.n + 1, c: counts.c + (outcome === "passed") });
      }
      return byKey;
    });
    const pairs = [], pValues = [];
    rates.forEach((one, i) => rates.slice(i + 1).forEach((other, j) => {
      const common = [...one.keys()].filter((key) => other.has(key));
      if (!common.length) return;
      pairs.push([i, i + 1 + j]);
      pValues.push(signFlip(common.map((key) => [one.get(key), other.get(key)])));
    }));
    const adjusted = holm(pValues);
    const within = (group, wider) => group !== wider && group.every((each) => wider.includes(each));
    let groups = [rates.map((_, i) => i)];
    for (const [i, j] of pairs.filter((_, number) => adjusted[number] <= alpha)) {
      const split = new Map();
      for (const group of groups) {
        const parts = group.includes(i) && group.includes(j)
          ? [group.filter((each) => each !== i), group.filter((each) => each !== j)] : [group];
        parts.forEach((part) => split.set(part.join(), part));
      }
      const all = [...split.values()];
      groups = all.filter((group) => !all.some((wider) => within(group, wider)));
    }
    groups.sort((one, other) => {
      const at = one.findIndex((each, place) => each !== other[place]);
      return at < 0 ? -1 : (one[at] - (other[at] ?? -1));
    });
    const name = (number) => "abcdefghijklmnopqrstuvwxyz"[number % 26] + (number < 26 ? "" : Math.floor(number / 26) + 1);
    return rates.map((_, i) => groups.map((group, number) => group.includes(i) ? name(number) : "").join(""));
  }

  // Marks the rows that no other beats in both: at least as good, and better in one.
  function markFront(rows, value) {
    const best = (row) => !rows.some((other) => other[value] >= row[value] && other.pass_rate >= row.pass_rate
      && (other[value] > row[value] || other.pass_rate > row.pass_rate));
    return rows.map((row) => ({ ...row, front: row.pass_rate !== null && best(row) }));
  }

  return { summarize, letters, markFront };
})();
