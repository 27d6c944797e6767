// Starts Swagger UI on the description that lies beside this file.
"use strict";

SwaggerUIBundle({
  url: new URL("openapi.json", document.currentScript.src).href,
  dom_id: "#description",
  deepLinking: true,
  defaultModelsExpandDepth: 0,
  validatorUrl: null, // no description is sent to anyone
});
