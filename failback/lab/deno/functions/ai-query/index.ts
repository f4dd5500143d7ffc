/**
 * Answers `{"query": …}` with the sentence of the caller's documents that fits best.
 *
 * No language model is behind it: a ranked text search in Postgres, which is the part that depends
 * on the caller's data being there. The product knows the caller by the token that is passed on,
 * and this function by its secret PRODUCT_KEY.
 */
import { type Handler, object, problem } from "../../types.ts";

interface Found {
  id: string;
  title: string;
  body: string;
  rank: number;
}

const MOST_TERMS = 20;
const STOP = new Set(
  ("the and for are was were what which who how why when where does did can with from this " +
    "that about your our you have has had not but all any tell show give").split(" "),
);

const aiQuery: Handler = async (request, { secrets, productUrl }) => {
  const { query } = await object(request);
  if (typeof query !== "string" || !query) {
    return problem(400, "validation_failed", "query is required");
  }
  const started = performance.now();
  const words = wordsOf(query).filter((word) => !STOP.has(word));
  const search = await fetch(`${productUrl}/_lab/search`, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      apikey: secrets.PRODUCT_KEY ?? "",
      Authorization: request.headers.get("Authorization") ?? "",
    },
    body: JSON.stringify({ terms: words.slice(0, MOST_TERMS) }),
  }).catch(() => problem(503, "product_unavailable", "The product does not answer."));
  if (!search.ok) {
    // Refusals of the product are the caller's to see: "read only", "no database", "who are you".
    return new Response(search.body, {
      status: search.status,
      headers: { "Content-Type": "application/json" },
    });
  }
  const found = await search.json() as Found[];
  const best = found[0];
  return Response.json({
    answer: best
      ? bestSentence(`${best.title}. ${best.body}`, new Set(words))
      : "Nothing in your documents answers this.",
    sources: found.map(({ id, title, rank }) => ({ id, title, rank: Number(rank.toFixed(4)) })),
    model: "lab-text-search",
    milliseconds: Number((performance.now() - started).toFixed(1)),
  });
};

/** The sentence with most of the words; the first of several. */
function bestSentence(text: string, words: Set<string>): string {
  const sentences = text.split(/(?<=[.!?])\s+/);
  const score = (sentence: string) =>
    new Set(wordsOf(sentence).filter((word) => words.has(word))).size;
  return sentences.reduce((best, next) => score(next) > score(best) ? next : best);
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().match(/[\p{L}\p{N}_]{3,}/gu) ?? [];
}

export default aiQuery;
