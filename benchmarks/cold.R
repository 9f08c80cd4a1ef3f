# A user's first minute in R: load, fit, simulate or make residuals. Arguments: TOOL CSV FORMULA (Poisson).
args <- commandArgs(TRUE)
seconds <- function(expr) { t <- proc.time()[3]; force(expr); as.numeric(proc.time()[3] - t) }
dharma <- grepl("DHARMa", args[1])
load <- seconds({
  suppressMessages(library(glmmTMB))
  if (dharma) {
    if (!requireNamespace("DHARMa", quietly = TRUE)) stop("DHARMa is not installed", call. = FALSE)
    suppressMessages(library(DHARMa))
  }
})
d <- read.csv(args[2], stringsAsFactors = TRUE)
fit <- seconds(m <- glmmTMB(as.formula(args[3]), d, family = poisson))
last <- seconds(if (dharma) simulateResiduals(m, n = 250) else simulate(m, nsim = 250))
cat(paste(c("import", "fit", if (dharma) "residuals" else "simulations"), c(load, fit, last), sep = "="), sep = "\t")
