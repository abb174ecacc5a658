package main

// addCommands adds every command.
func addCommands(a *app) {
	a.root.CompletionOptions.DisableDefaultCmd = true
	for _, add := range []func(*app){
		addServe, addMigrate, addSeed, addImport, addSource, addExport, addList, addGet, addSearch, addGuidance,
		addExplain, addMCP, addCheck, addHook, addSync, addFleet, addEffect, addMove, addPut, addPatch, addVerbs,
		addHistory, addWatch, addDiff, addRender, addToken, addStatus, addConflicts, addJobs, addBackup, addDoctor,
		addConfig, addCompletion, addVersion, addDocs, addAudit, addLabel, addPack, addPropose, addReview, addEdit,
		addNew,
		addUndo, addReport, addErase, addArchive, addScrub,
	} {
		add(a)
	}
	completeArguments(a)
}
