;; Build a profile's derivation, and say what it is made of. Nothing of an author's runs in this process.
;;   guix repl -- build.scm DERIVATION MOST
;; More store paths than MOST are counted, not told.
(use-modules (guix base64) (guix derivations) (guix profiles) (guix search-paths) (guix store) (json) (ice-9 match)
             (srfi srfi-1) (srfi srfi-34))

(define (say type . fields)
  (format #t "~%@repolaunch ~a~%" (scm->json-string `(("type" . ,type) ,@fields)))
  (force-output))

(define (say-path store path)
  (let ((info (query-path-info store path)))
    (say "path" `("path" . ,path)
         `("narSize" . ,(path-info-nar-size info))
         `("narHash" . ,(string-append "sha256-" (base64-encode (path-info-hash info)))))
    (for-each (lambda (reference) (say "reference" `("path" . ,path) `("to" . ,reference)))
              (path-info-references info))))

(match (command-line)
  ((_ file most)
   (with-store store
     (set-build-options store #:fallback? #t #:print-build-trace #t
                        #:print-extended-build-trace? #t #:multiplexed-build-output? #t)
     (let* ((derivation (read-derivation-from-file file))
            (profile (derivation->output-path derivation)))
       ;; A profile is always built, never copied, as Guix has it; here it may be in a cache with all that it needs.
       (when (and (not (valid-path? store profile)) (pair? (substitutable-paths store (list profile))))
         (guard (c ((store-protocol-error? c) #f))
           (build-things store (list profile))))
       (build-derivations store (list derivation))
       (say "profile" `("path" . ,profile))
       (for-each (match-lambda
                   ((specification . value)
                    (say "variable" `("name" . ,(search-path-specification-variable specification))
                         `("value" . ,value))))
                 (profile-search-paths profile))
       (let ((paths (sort (requisites store (list profile)) string<?)))
         (if (> (length paths) (string->number most))
             (say "many" `("paths" . ,(length paths)))
             (for-each (lambda (path) (say-path store path)) paths)))
       (say "end")))))
