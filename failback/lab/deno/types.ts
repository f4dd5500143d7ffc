/** What the lab's runtime hands to a function besides its request. */
export interface Context {
  /** Secrets by name, as the side's operator set them. */
  secrets: Readonly<Record<string, string>>;
  /** The product of the same side, without a slash at its end. */
  productUrl: string;
}

/** The default export of every `functions/NAME/index.ts`. */
export type Handler = (
  request: Request,
  context: Context,
) => Promise<Response> | Response;

/** An error in the form that the product's clients know. */
export function problem(status: number, code: string, message: string): Response {
  return Response.json({ code, message, details: null, hint: null }, { status });
}

/** The object in a request's body; an empty one where there is no body. */
export async function object(request: Request): Promise<Record<string, unknown>> {
  const text = await request.text();
  if (!text) return {};
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw problem(400, "bad_json", "Could not parse request body as JSON");
  }
  if (typeof value !== "object" || value === null || Array.isArray(value)) {
    throw problem(400, "bad_json", "The body has to be a JSON object");
  }
  return value as Record<string, unknown>;
}
