// byRank sorts what is in first before all others, which keep the order of the alphabet.
function byRank(first) {
  function rank(name) {
    var at = first.indexOf(name);
    return at < 0 ? first.length : at;
  }
  return function (a, b) {
    return rank(a) - rank(b) || a.localeCompare(b);
  };
}

window.onload = function () {
  window.ui = SwaggerUIBundle({
    urls: [/* specifications */],
    'urls.primaryName': 'user', // where people sign in
    dom_id: '#swagger-ui',
    tagsSorter: byRank(['auth', 'users', 'sessions']),
    operationsSorter: function (a, b) {
      return byRank(['/auth/register', '/auth/login'])(a.get('path'), b.get('path'));
    },
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
