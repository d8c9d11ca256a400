window.onload = function () {
  window.ui = SwaggerUIBundle({
    urls: [/* specifications */],
    dom_id: '#swagger-ui',
    deepLinking: true,
    persistAuthorization: true,
    tryItOutEnabled: true,
    validatorUrl: null,
    presets: [SwaggerUIBundle.presets.apis, SwaggerUIStandalonePreset],
    layout: 'StandaloneLayout',
    // People paste the token as the login gives it: the word before it is ours to add.
    requestInterceptor: function (request) {
      var given = request.headers && request.headers.Authorization;
      if (given && !/^[A-Za-z]+ /.test(given)) {
        request.headers.Authorization = 'Bearer ' + given;
      }
      return request;
    }
  });
};
